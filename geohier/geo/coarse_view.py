"""How much a coarser look at tiles has to see, so that its answer holds up to their edges."""

from dataclasses import dataclass
from functools import cached_property

from geohier.geo.tiling import Tile, TileGrid
from geohier.geo.window import Window

ENOUGH_PX = 1 << 20
"""Pixels that a network may see at once of however small tiles: one tile of 1024 px."""


@dataclass(frozen=True, kw_only=True)
class CoarseView:
    """Neighbouring tiles of a row, for a network that sees means over squares of pixels.

    Its surroundings in pixels of the raster grow with the squares, so that it needs as many more
    around the tiles, except along the raster's own edge, where a tile has no margin either. That
    much around each tile would cost more than it saves; so several are looked at together, as many
    as give the network no more to see than one tile in full, or `ENOUGH_PX`. Which they are follows
    from their columns alone. Views begin and end at multiples of whole cells from the raster's
    corner: two tiles that share ground see it in the same squares and cells.

    Args:
        factor: pixels along each side of a square.
        grid: the tiles; they begin and end at multiples of the stride. Their margin is what a look
            in full has at least around a pixel, and a coarser one as many times as much.
        stride: pixels of the network per cell of its coarsest level.

    Example:
        >>> grid = TileGrid(height=9000, width=9000, size=512, overlap=192, margin=64)
        >>> view = CoarseView(factor=2, grid=grid, stride=32)
        >>> view.together, view.group(grid.tile(1, 20))[0].column
        (17, 17)
        >>> view.window(grid.tile(1, 20))
        Window(row_off=256, col_off=5376, height=640, width=3776)
    """

    factor: int
    grid: TileGrid
    stride: int

    @property
    def beyond(self) -> int:
        """Pixels around tiles that have to be seen, beside their own margin; whole cells."""
        return _up((self.factor - 1) * self.grid.margin, self.stride)

    @property
    def cell(self) -> int:
        """Pixels of the raster per cell of the coarsest level."""
        return self.factor * self.stride

    @property
    def reach(self) -> int:
        """Most pixels that it goes beyond the tiles that are looked at together, on any side."""
        return self.beyond + self.cell - self.stride

    @cached_property
    def together(self) -> int:
        """Tiles of a row that are looked at together, one or more."""
        around = 2 * self.reach
        most = self.factor**2 * max(self.grid.size**2, ENOUGH_PX)
        wide = most // (self.grid.size + around) - around
        return max(1, min((wide - self.grid.overlap) // self.grid.step, self.grid.columns))

    @property
    def largest(self) -> tuple[int, int]:
        """Most rows and columns that are looked at together."""
        rows = self.grid.size + 2 * self.reach
        return rows, rows + (self.together - 1) * self.grid.step

    @property
    def around(self) -> tuple[int, int]:
        """Most rows and columns that a view goes beyond any of its tiles."""
        return self.reach, self.reach + (self.together - 1) * self.grid.step

    def group(self, tile: Tile) -> tuple[Tile, ...]:
        """Return the tiles that are looked at together with a tile, and itself."""
        first = tile.column // self.together * self.together
        columns = range(first, min(first + self.together, self.grid.columns))
        return tuple(self.grid.tile(tile.row, column) for column in columns)

    def window(self, tile: Tile) -> Window:
        """Return the view that a tile is seen in; it may overhang the raster on all sides."""
        group = self.group(tile)
        row, row_stop = self._along(tile.row, tile.row, self.grid.rows)
        col, col_stop = self._along(group[0].column, group[-1].column, self.grid.columns)
        return Window(row_off=row, col_off=col, height=row_stop - row, width=col_stop - col)

    def _along(self, first: int, last: int, count: int) -> tuple[int, int]:
        before = self.beyond if first else 0
        after = self.beyond if last < count - 1 else 0
        start = (first * self.grid.step - before) // self.cell * self.cell
        return start, _up(last * self.grid.step + self.grid.size + after, self.cell)


def _up(length: int, multiple: int) -> int:
    return -(-length // multiple) * multiple
