"""What a model directory says about its model, and whether its files are whole. Needs no torch."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geohier.errors import ModelError
from geohier.geo.levels import LevelLadder
from geohier.models.card import ModelCard
from geohier.models.stac import card_of
from geohier.raster.files import shown

CARD, SUMS = "card.json", "SHA256SUMS"
LARGEST_TEXT = 4 << 20
"""Bytes above which a card or a list of hashes is not read."""


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


def is_model(path: Path) -> bool:
    """Return whether a path looks like a model directory."""
    return (path / CARD).is_file() or (path / SUMS).is_file()


def describe_model(folder: Path) -> ModelReport:
    """Read the card of a model directory and check the SHA-256 of each of its files.

    Raises:
        ModelError: the card cannot be read.
    """
    item = _read_card(folder / CARD)
    try:
        card = card_of(item)
    except ModelError as error:
        raise ModelError(f"{shown(folder / CARD)}: {error}") from error
    return ModelReport(card=card, item=item, levels=_levels(card), damaged=_damaged(folder))


def _read_card(path: Path) -> dict[str, Any]:
    try:
        item = json.loads(_read_text(path))
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{shown(path)} is no JSON: {error}") from error
    if not isinstance(item, dict):
        raise ModelError(f"{shown(path)} holds no card")
    return item


def _read_text(path: Path) -> str:
    try:
        if path.stat().st_size > LARGEST_TEXT:
            raise ModelError(
                f"{shown(path)} is larger than {LARGEST_TEXT} bytes: no file of a model"
            )
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise ModelError(f"{shown(path)} cannot be read: {error.strerror}") from error


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


def _damaged(folder: Path) -> tuple[str, ...]:
    """Return the files that are not as `SHA256SUMS` says."""
    try:
        lines = _read_text(folder / SUMS).split("\n")
    except ModelError:
        return (SUMS,)
    sums = [line.split(maxsplit=1) for line in lines if line.strip()]
    if not sums or any(len(pair) != 2 or Path(pair[1]).name != pair[1] for pair in sums):
        return (SUMS,)
    return tuple(name for expected, name in sums if _sha256(folder / name) != expected)


def _sha256(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None
