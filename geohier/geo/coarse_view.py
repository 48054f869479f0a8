"""How much a coarser look at a tile has to see, so that its answer holds up to the tile's edge."""

from dataclasses import dataclass

from geohier.geo.window import Window


@dataclass(frozen=True, slots=True, kw_only=True)
class CoarseView:
    """A tile and what lies around it, for a network that sees means over squares of pixels.

    Its surroundings in pixels of the raster grow with the squares, so that it needs as many more
    around the tile. Views begin at multiples of whole cells from the raster's corner: two tiles
    that share ground see it in the same squares and cells.

    Args:
        factor: pixels along each side of a square.
        size: side of a tile, in pixels.
        stride: pixels of the network per cell of its coarsest level; tiles begin at multiples.
        margin: pixels of the network that it needs around a pixel.

    Example:
        >>> view = CoarseView(factor=2, size=64, stride=8, margin=10)
        >>> view.start(128), view.side, view.reach
        (112, 112, 32)
    """

    factor: int
    size: int
    stride: int
    margin: int

    @property
    def beyond(self) -> int:
        """Pixels around a tile that have to be seen, beside its own margin; whole cells."""
        return _up((self.factor - 1) * self.margin, self.stride)

    @property
    def cell(self) -> int:
        """Pixels of the raster per cell of the coarsest level."""
        return self.factor * self.stride

    @property
    def side(self) -> int:
        """Side of the view, in pixels of the raster: the same wherever the tile begins."""
        return _up(self.size + 2 * self.beyond + self.cell - self.stride, self.cell)

    @property
    def reach(self) -> int:
        """Most pixels that it goes beyond a tile, on any side."""
        return max(self.beyond + self.cell - self.stride, self.side - self.size - self.beyond)

    @property
    def cost(self) -> float:
        """Pixels that the network sees for each that it sees of a tile at full resolution."""
        return (self.side / self.factor / self.size) ** 2

    def start(self, offset: int) -> int:
        """Return where the view of a tile begins, along an axis on which the tile does at this."""
        return (offset - self.beyond) // self.cell * self.cell

    def window(self, tile: Window) -> Window:
        """Return the view of a tile; it may overhang the raster on all sides."""
        row, col = self.start(tile.row_off), self.start(tile.col_off)
        return Window(row_off=row, col_off=col, height=self.side, width=self.side)


def _up(length: int, multiple: int) -> int:
    return -(-length // multiple) * multiple
