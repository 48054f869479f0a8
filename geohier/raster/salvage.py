"""What can still be read of a window with damaged blocks."""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from geohier.errors import RasterReadError
from geohier.geo.window import Window
from geohier.raster.source import Pixels


def blank(window: Window, *, bands: int, layers: int, dtype: np.dtype[np.generic]) -> Pixels:
    """Return pixels of which none is valid."""
    return Pixels(
        values=np.zeros((bands, window.height, window.width), dtype),
        valid=np.zeros((layers, window.height, window.width), np.bool_),
    )


def within(inner: Window, outer: Window) -> tuple[slice, slice, slice]:
    """Return where `inner` lies in an array of `outer`'s pixels, over all its layers."""
    rows, columns = inner.shifted(rows=-outer.row_off, cols=-outer.col_off).slices
    return slice(None), rows, columns


def blocks_of(window: Window, block_shape: tuple[int, int]) -> Iterator[Window]:
    """Yield the parts of a window that lie in one block each.

    Example:
        >>> window = Window(row_off=3, col_off=0, height=4, width=5)
        >>> [(block.row_off, block.height) for block in blocks_of(window, (4, 8))]
        [(3, 1), (4, 3)]
    """
    for row, height in _cuts(window.row_off, window.row_stop, block_shape[0]):
        for column, width in _cuts(window.col_off, window.col_stop, block_shape[1]):
            yield Window(row_off=row, col_off=column, height=height, width=width)


def _cuts(start: int, stop: int, side: int) -> Iterator[tuple[int, int]]:
    while start < stop:
        end = min(stop, (math.floor(start / side) + 1) * side)
        yield start, end - start
        start = end


def whole_block(part: Window, block_shape: tuple[int, int], shape: tuple[int, int]) -> Window:
    """Return the block that a window lies in, as far as it lies in a raster of this shape.

    Example:
        >>> whole_block(Window(row_off=5, col_off=9, height=1, width=2), (4, 8), (20, 12))
        Window(row_off=4, col_off=8, height=4, width=4)
    """
    height, width = block_shape
    row, column = part.row_off // height * height, part.col_off // width * width
    block = Window(row_off=row, col_off=column, height=height, width=width)
    return block.clipped(height=shape[0], width=shape[1])


def salvage(
    read: Callable[[Window], Pixels], into: Pixels, window: Window, block_shape: tuple[int, int]
) -> tuple[Window, ...]:
    """Read a window block by block into pixels that are invalid so far.

    Returns:
        The parts that cannot be read; their pixels stay invalid.
    """
    failed = []
    for block in blocks_of(window, block_shape):
        try:
            pixels = read(block)
        except RasterReadError:
            failed.append(block)
            continue
        into.values[within(block, window)] = pixels.values
        into.valid[within(block, window)] = pixels.valid
    return tuple(failed)


def salvage_rows(read: Callable[[Window], Pixels], into: Pixels, window: Window) -> int | None:
    """Read what stands above the damage in a file that is decoded from its top, row after row.

    Each try decodes the file from the top again, so the damage is found by halving.

    Returns:
        The first row that cannot be read; it and those below stay invalid. None if all can.
    """
    good, bad = 0, window.height
    while good < bad:
        half = (good + bad + 1) // 2
        part = replace(window, row_off=window.row_off + good, height=half - good)
        try:
            pixels = read(part)
        except RasterReadError:
            bad = half - 1
            continue
        into.values[within(part, window)] = pixels.values
        into.valid[within(part, window)] = pixels.valid
        good = half
    return window.row_off + good if good < window.height else None


def first_lost_row(read: Callable[[Window], Pixels], lost: int, width: int) -> int:
    """Return where the damage begins in a file of `width` columns that is decoded from its top.

    Args:
        read: reads a window.
        lost: a row that cannot be read.
        width: columns of the file.
    """
    good, bad = 0, lost
    while good < bad:
        half = (good + bad) // 2
        try:
            read(Window(row_off=half, col_off=0, height=1, width=width))
        except RasterReadError:
            bad = half
            continue
        good = half + 1
    return bad
