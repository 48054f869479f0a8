"""Which tiles fit a model: large enough that their margins are context, not waste.

The outer margin of a tile counts for nothing, so that a model's answer rests on what it has seen
around a pixel. The margin is the model's own: the radius that holds 95 % of its effective receptive
field (Luo et al. 2016), measured when the model was saved. A wide margin wants large tiles, since
the redundancy, tile pixels per raster pixel, is `(size / (size - overlap)) ** 2`.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

from geohier.errors import ConfigError
from geohier.geo.tiling import TileGrid
from geohier.models.card import ModelCard

type Blend = Literal["taper", "crop"]
"""How tiles meet: over a ramp, or cut at the middle of the overlap."""

SIZES_PX = (512, 768, 1024, 1536, 2048, 3072, 4096)
"""The two largest are for networks that work on coarser pixels than the image's."""
LARGEST_REDUNDANCY = 1.6
SHORTEST_RAMP_PX = 16


def choose_grid(
    card: ModelCard,
    *,
    height: int,
    width: int,
    size: int | None = None,
    overlap: int | None = None,
    blend: Blend = "taper",
    cell: int = 1,
    fits: Callable[[int], bool] = lambda size: True,
) -> TileGrid:
    """Return the tiles for a raster of `height` x `width` px; what is not given follows the model.

    Args:
        card: of the model.
        height: rows of the raster.
        width: columns of the raster.
        size: side of a tile; None takes the smallest one that is not too redundant, else the
            largest one that fits.
        overlap: pixels shared by neighbours; None takes two margins of the model and a ramp.
        blend: how tiles meet.
        cell: side of the result's pixels, in pixels of the raster; margins are multiples of it.
        fits: whether a tile of a size fits the memory.

    Raises:
        ConfigError: size or step is no multiple of the model's stride, or they do not fit.
    """
    if blend not in {"taper", "crop"}:
        raise ConfigError(f"blend {blend!r} is not known: choose taper or crop")
    card = _with_margins_of_cells(card, cell)
    if size is None:
        size = _choose_size(card, overlap, (height, width), fits)
    if overlap is None:
        overlap = min(_wanted_overlap(card, size), _down(size // 2, card.stride))
    _check_stride(card, size, overlap)
    margin = overlap // 2 if blend == "crop" else _margin(card, overlap)
    return TileGrid(
        height=height, width=width, size=size, overlap=overlap, margin=_down(margin, cell)
    )


def _with_margins_of_cells(card: ModelCard, cell: int) -> ModelCard:
    margins = {share: _up(margin, cell) for share, margin in card.margins_px.items()}
    return replace(card, margins_px=margins)


def _choose_size(
    card: ModelCard, overlap: int | None, shape: tuple[int, int], fits: Callable[[int], bool]
) -> int:
    if card.tile_dependent and card.tile_size_px:
        return _up(card.tile_size_px, card.stride)
    sizes = [_up(size, card.stride) for size in SIZES_PX]
    enough = next((size for size in sizes if size >= min(shape)), sizes[-1])  # across a narrow one
    sizes = [size for size in sizes if fits(size) and size <= enough] or sizes[:1]
    for size in sizes:
        shared = _wanted_overlap(card, size) if overlap is None else overlap
        if max(shape) <= size or _redundancy(size, shared) <= LARGEST_REDUNDANCY:
            return size
    return sizes[-1]


def _redundancy(size: int, overlap: int) -> float:
    return float("inf") if 2 * overlap > size else (size / (size - overlap)) ** 2


def _wanted_overlap(card: ModelCard, size: int) -> int:
    """Two margins and a ramp; a quarter of the tile where the margin is not known or has no end."""
    margin = card.margins_px.get(95)
    if margin is None or card.tile_dependent:
        return _down(size // 4, card.stride)
    return _up(2 * margin + _ramp(card), card.stride)


def _ramp(card: ModelCard) -> int:
    return max(card.stride, SHORTEST_RAMP_PX)


def _margin(card: ModelCard, overlap: int) -> int:
    """The model's margin, but a quarter of the overlap stays for the ramp."""
    return min(card.margins_px.get(95, overlap // 4), 3 * overlap // 8)


def _check_stride(card: ModelCard, size: int, overlap: int) -> None:
    for name, value in (("size", size), ("overlap", overlap)):
        if value % card.stride:
            fits = max(card.stride, _down(value, card.stride))
            raise ConfigError(
                f"{name} of {value} px is no multiple of the model's stride of {card.stride} px: "
                f"choose {fits} or {fits + card.stride}"
            )


def _up(value: int, stride: int) -> int:
    return -(-value // stride) * stride


def _down(value: int, stride: int) -> int:
    return value // stride * stride
