"""How much a coarser look at a tile has to see, so that its answer holds up to the tile's edge."""

from dataclasses import dataclass

from geohier.geo.tiling import Tile, TileGrid
from geohier.geo.window import Window


@dataclass(frozen=True, slots=True, kw_only=True)
class CoarseView:
    """A tile and what lies around it, for a network that sees means over squares of pixels.

    Its surroundings in pixels of the raster grow with the squares, so that it needs as many more
    around the tile, except along the raster's own edge, where a tile has no margin either. Views
    begin and end at multiples of whole cells from the raster's corner: two tiles that share ground
    see it in the same squares and cells.

    Args:
        factor: pixels along each side of a square.
        grid: the tiles; they begin and end at multiples of the stride. Their margin is what a look
            in full has at least around a pixel, and a coarser one as many times as much.
        stride: pixels of the network per cell of its coarsest level.

    Example:
        >>> grid = TileGrid(height=300, width=100, size=64, overlap=32, margin=10)
        >>> view = CoarseView(factor=2, grid=grid, stride=8)
        >>> view.window(grid.tile(1, 0)), view.reach
        (Window(row_off=16, col_off=0, height=96, width=80), 24)
    """

    factor: int
    grid: TileGrid
    stride: int

    @property
    def beyond(self) -> int:
        """Pixels around a tile that have to be seen, beside its own margin; whole cells."""
        return _up((self.factor - 1) * self.grid.margin, self.stride)

    @property
    def cell(self) -> int:
        """Pixels of the raster per cell of the coarsest level."""
        return self.factor * self.stride

    @property
    def reach(self) -> int:
        """Most pixels that it goes beyond a tile, on any side."""
        return self.beyond + self.cell - self.stride

    def window(self, tile: Tile) -> Window:
        """Return the view of a tile; it may overhang the raster on all sides."""
        row, row_stop = self._along(tile.row, self.grid.rows, tile.window.row_off)
        col, col_stop = self._along(tile.column, self.grid.columns, tile.window.col_off)
        return Window(row_off=row, col_off=col, height=row_stop - row, width=col_stop - col)

    def _along(self, place: int, count: int, offset: int) -> tuple[int, int]:
        before = self.beyond if place else 0
        after = self.beyond if place < count - 1 else 0
        start = (offset - before) // self.cell * self.cell
        return start, _up(offset + self.grid.size + after, self.cell)


def _up(length: int, multiple: int) -> int:
    return -(-length // multiple) * multiple
