"""What a model directory says about its model, and whether `predict` would take it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geohier.errors import ModelError
from geohier.geo.levels import LevelLadder
from geohier.models.card import ModelCard
from geohier.models.manifest import card_in, damaged_files, read_item


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """One level of a model's pyramid, on images of its training's ground sample distance.

    Args:
        stride_px: pixels of the image per cell.
        gsd_m: finest and coarsest ground sample distance of the level, in metres.
        object_m: smallest and largest object that is best seen here, in metres; infinite on the
            coarsest level.
    """

    stride_px: int
    gsd_m: tuple[float, float]
    object_m: tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelReport:
    """A model directory, described.

    Args:
        card: the model card.
        item: the card as it lies on disk, a STAC item.
        levels: the scales that the model works at; empty where the card does not say.
        damaged: files that are missing or not as their SHA-256 says.
    """

    card: ModelCard
    item: dict[str, Any]
    levels: tuple[Level, ...]
    damaged: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        levels = [
            {
                "stride_px": level.stride_px,
                "gsd_m": list(level.gsd_m),
                "object_m": [one if one < float("inf") else None for one in level.object_m],
            }
            for level in self.levels
        ]
        return {"card": self.item, "levels": levels, "damaged": list(self.damaged)}


def describe_model(folder: Path) -> ModelReport:
    """Read the card of a model directory and check the SHA-256 of each file, without torch.

    Raises:
        ModelError: the card cannot be read.
    """
    item = read_item(folder)
    card = card_in(folder, item)
    return ModelReport(card=card, item=item, levels=_levels(card), damaged=damaged_files(folder))


def why_refused(folder: Path) -> str | None:
    """Return why `predict` would refuse a model, None if it takes it: the model is loaded."""
    from geohier.models.directory import load_model  # brings torch: seconds

    try:
        load_model(folder)
    except ModelError as error:
        return str(error)
    return None


def _levels(card: ModelCard) -> tuple[Level, ...]:
    if not card.strides or card.gsd_m is None:
        return ()
    ladder = LevelLadder(strides=card.strides)
    fine, coarse = card.gsd_m
    return tuple(
        Level(
            stride_px=stride,
            gsd_m=(stride * fine, stride * coarse),
            object_m=(smallest * fine, largest * coarse),
        )
        for stride, (smallest, largest) in zip(
            ladder.strides, ladder.object_sizes_px(), strict=True
        )
    )
