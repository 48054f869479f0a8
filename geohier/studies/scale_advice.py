"""Which scales a network should have, judged by how large the labelled objects are.

An object is seen well on the coarsest level on which it still spans `PIXELS_PER_OBJECT` cells. So
the finest level is chosen by the small objects and the side of a chip by the large ones. Sizes are
weighed by area: specks, however many, are little of what is scored. What is long or ragged, as
rivers and clearings are, counts by its width.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from geohier.config.hierarchy import FPN_LEVELS
from geohier.config.model import ModelConfig
from geohier.geo.levels import PIXELS_PER_OBJECT, LevelLadder
from geohier.studies.object_sizes import SizeTable

SMALL, LARGE = 10, 50
"""Percent of a class's area in objects that count as small, and below its middle ones."""

CHIP_PER_OBJECT = 4
"""A chip should span a large object and what lies around it, which tells what it is."""

WIDTHS = 8
"""An object of more diameters than this in its mean width is a network: it is not taken whole."""

CHIP_SIDES = (64, 128, 256, 512)

type Decoder = Literal["fpn", "unet", "hierarchy"]


def nominal_strides(
    decoder: Decoder, depth: int, downsample: int, levels: int = FPN_LEVELS
) -> tuple[int, ...]:
    """Return the strides, in pixels of the image, of most encoders' levels.

    Args:
        decoder: what merges them.
        depth: halvings of the image in the encoder.
        downsample: pixels of the image per pixel that the network sees.
        levels: levels of a hierarchy.

    Example:
        >>> nominal_strides("fpn", 4, 4)
        (8, 16, 32, 64)
        >>> nominal_strides("hierarchy", 5, 1, levels=2)
        (4, 8)
    """
    if decoder == "unet":
        exponents = range(1, depth + 1)
    else:
        finest = depth + 1 - FPN_LEVELS
        exponents = range(finest, finest + (FPN_LEVELS if decoder == "fpn" else levels))
    return tuple(downsample * 2**at for at in exponents)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleAdvice:
    """Settings that suit the objects.

    Args:
        small_px: diameter of small objects, in pixels at data.gsd_m, of the class that has the
            smallest, but for the commonest class.
        large_px: diameter of middle objects of the class that has the largest, likewise.
        downsample: model.downsample.
        encoder_depth: model.encoder_depth.
        strides: levels that follow, in pixels at data.gsd_m.
        chip_px: chips.size_px.
    """

    small_px: float
    large_px: float
    downsample: Literal[1, 2, 4]
    encoder_depth: int
    strides: tuple[int, ...]
    chip_px: int


def advise(sizes: Mapping[str, SizeTable], model: ModelConfig) -> ScaleAdvice | None:
    """Return what suits objects of these sizes, None where there are none.

    Args:
        sizes: objects of each class, the diameters in pixels at data.gsd_m.
        model: the network as it is configured.
    """
    held = [table for table in sizes.values() if table.count]
    if not held:
        return None
    area = [float((table.counts * table.diameters**2).sum()) for table in held]
    things = [one for at, one in enumerate(held) if at != area.index(max(area))] or held
    small = min(min(table.area_percentiles(SMALL)[0], table.width) for table in things)
    large = max(min(table.area_percentiles(LARGE)[0], WIDTHS * table.width) for table in things)
    levels = model.hierarchy.levels
    downsample, depth = _finest(small, model.decoder)
    wanted = CHIP_PER_OBJECT * large / downsample
    return ScaleAdvice(
        small_px=small,
        large_px=large,
        downsample=downsample,
        encoder_depth=depth,
        strides=nominal_strides(model.decoder, depth, downsample, levels),
        chip_px=next((side for side in CHIP_SIDES if side >= wanted), CHIP_SIDES[-1]),
    )


def _finest(small_px: float, decoder: Decoder) -> tuple[Literal[1, 2, 4], int]:
    """Return downsample and depth whose finest level just sees objects of that size.

    Of two ways to the same strides, the one that works on fewer pixels.
    """
    largest = small_px / PIXELS_PER_OBJECT
    ways: tuple[tuple[Literal[1, 2, 4], int], ...] = ((4, 5), (4, 4), (2, 4), (1, 4))
    fitting = [way for way in ways if nominal_strides(decoder, way[1], way[0])[0] <= largest]
    return fitting[0] if fitting else ways[-1]


def share_by_level(table: SizeTable, ladder: LevelLadder) -> tuple[float, ...]:
    """Return the share of a class's area in objects that each level sees best, finest first."""
    edges = (*(low for low, _ in ladder.object_sizes_px()), float("inf"))
    return table.area_shares(edges)
