"""How a raster is cut into tiles: one grid per raster, anchored at its top-left corner.

All tiles have the full size; the last ones of a row or column overhang the raster. Neighbours share
`overlap` pixels, of which the outer `margin` on each side count for nothing: there a network sees
too little of the surroundings. Across the rest, the `ramp`, one tile hands over to the next:

    tile n      ────────────────────────┐margin
                          └ramp┘
    tile n+1        margin┌───────────────────────
                └──── overlap ────┘           overlap = 2 x margin + ramp

An overlap is at most half a tile, so that no more than two tiles meet along an axis.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from geohier.errors import TilingError
from geohier.geo.window import Window


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """One cell of a TileGrid: its place in the grid and its pixels, which may overhang."""

    row: int
    column: int
    window: Window


@dataclass(frozen=True, kw_only=True)
class TileGrid:
    """The tiles that cover a raster, in row-major order.

    Args:
        height: rows of the raster.
        width: columns of the raster.
        size: side of a tile, in pixels.
        overlap: pixels shared by neighbouring tiles, at most half of `size`.
        margin: outer pixels of a tile that count for nothing (except along the raster's own
            edge), at most half of `overlap`.

    Raises:
        TilingError: the numbers do not fit each other.

    Example:
        >>> grid = TileGrid(height=100, width=60, size=64, overlap=16)
        >>> grid.rows, grid.columns, len(grid)
        (2, 1, 2)
        >>> [tile.window.row_off for tile in grid]
        [0, 48]
    """

    height: int
    width: int
    size: int
    overlap: int
    margin: int = 0

    def __post_init__(self) -> None:
        if self.height < 1 or self.width < 1:
            raise TilingError(f"a raster of {self.height} x {self.width} px has nothing to tile")
        if self.size < 1:
            raise TilingError(f"tiles of {self.size} px are empty: choose a size of 1 px or more")
        if not 0 <= self.overlap <= self.size // 2:
            raise TilingError(
                f"overlap of {self.overlap} px does not fit tiles of {self.size} px: "
                f"choose an overlap from 0 to {self.size // 2}"
            )
        if not 0 <= 2 * self.margin <= self.overlap:
            raise TilingError(
                f"margin of {self.margin} px does not fit an overlap of {self.overlap} px: "
                f"choose a margin from 0 to {self.overlap // 2}"
            )

    @property
    def step(self) -> int:
        """Pixels from one tile's corner to the next one's."""
        return self.size - self.overlap

    @property
    def ramp(self) -> int:
        """Pixels over which one tile hands over to the next."""
        return self.overlap - 2 * self.margin

    @cached_property
    def rows(self) -> int:
        """Tiles from top to bottom."""
        return _tiles_along(self.height, self.size, self.step)

    @cached_property
    def columns(self) -> int:
        """Tiles from left to right."""
        return _tiles_along(self.width, self.size, self.step)

    @property
    def redundancy(self) -> float:
        """Tile pixels that a model reads for each pixel of the raster."""
        return len(self) * self.size**2 / (self.height * self.width)

    def tile(self, row: int, column: int) -> Tile:
        """Return the tile at a place of the grid."""
        window = Window(
            row_off=row * self.step, col_off=column * self.step, height=self.size, width=self.size
        )
        return Tile(row=row, column=column, window=window)

    def row(self, row: int) -> Iterator[Tile]:
        """Yield the tiles of one row, left to right."""
        return (self.tile(row, column) for column in range(self.columns))

    def finished_rows(self, row: int) -> range:
        """Rows of the raster that become final with tile row `row`: no later tile reaches them."""
        return self._finished(row, self.rows, self.height)

    def finished_columns(self, column: int) -> range:
        """Columns of the raster that become final with tile column `column`."""
        return self._finished(column, self.columns, self.width)

    def _finished(self, index: int, count: int, length: int) -> range:
        """Return what one tile of an axis finishes: all before the ramp to the next tile."""
        start = index * self.step + self.margin if index else 0
        return range(start, length if index == count - 1 else (index + 1) * self.step + self.margin)

    def __len__(self) -> int:
        return self.rows * self.columns

    def __iter__(self) -> Iterator[Tile]:
        for row in range(self.rows):
            yield from self.row(row)


def _tiles_along(length: int, size: int, step: int) -> int:
    return 1 + max(0, math.ceil((length - size) / step))


def reflected(start: int, stop: int, length: int) -> list[int]:
    """Return which pixels of an axis stand at `start..stop` when it is mirrored at its end.

    The edge pixel is not repeated (as in NumPy's and PyTorch's `reflect`), a single pixel is.

    Example:
        >>> reflected(1, 7, length=4)
        [1, 2, 3, 2, 1, 0]
    """
    if length == 1:
        return [0] * (stop - start)
    period = 2 * (length - 1)
    return [min(at % period, period - at % period) for at in range(start, stop)]
