"""A rectangle of whole pixels."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

from geohier.errors import TilingError


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A rectangle of whole pixels, counted from the raster's top-left corner.

    The field names are rasterio's; the fields are keyword-only so that rows and columns cannot be
    swapped by position. A window may overhang the raster.

    Example:
        >>> Window(row_off=0, col_off=4, height=2, width=3).slices
        (slice(0, 2, None), slice(4, 7, None))
    """

    row_off: int
    col_off: int
    height: int
    width: int

    def __post_init__(self) -> None:
        if self.height < 1 or self.width < 1:
            raise TilingError(
                f"a window of {self.height} x {self.width} px is empty: give both sides 1 or more"
            )

    @property
    def row_stop(self) -> int:
        """First row below the window."""
        return self.row_off + self.height

    @property
    def col_stop(self) -> int:
        """First column to the right of the window."""
        return self.col_off + self.width

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns, to index an array or a GeoBox."""
        return slice(self.row_off, self.row_stop), slice(self.col_off, self.col_stop)

    def shifted(self, *, rows: int = 0, cols: int = 0) -> Self:
        """Return the same rectangle, moved down by `rows` and right by `cols`."""
        return type(self)(
            row_off=self.row_off + rows,
            col_off=self.col_off + cols,
            height=self.height,
            width=self.width,
        )

    def grown(self, *, rows: int = 0, cols: int = 0) -> Self:
        """Return the rectangle with `rows` more above and below, `cols` more left and right."""
        return type(self)(
            row_off=self.row_off - rows,
            col_off=self.col_off - cols,
            height=self.height + 2 * rows,
            width=self.width + 2 * cols,
        )

    def clipped(self, *, height: int, width: int) -> Self:
        """Return the part inside a raster of `height` x `width` pixels.

        Raises:
            TilingError: nothing of the window lies inside.
        """
        row_off, col_off = max(self.row_off, 0), max(self.col_off, 0)
        return type(self)(
            row_off=row_off,
            col_off=col_off,
            height=min(self.row_stop, height) - row_off,
            width=min(self.col_stop, width) - col_off,
        )


def row_strips(height: int, width: int, rows: int = 512) -> Iterator[Window]:
    """Yield windows of full width and at most `rows` rows that cover a raster, from the top.

    Example:
        >>> [strip.height for strip in row_strips(700, 10)]
        [512, 188]
    """
    for top in range(0, height, rows):
        yield Window(row_off=top, col_off=0, height=min(rows, height - top), width=width)


def intersection(one: Window, other: Window) -> Window | None:
    """Return what two windows share, None where they do not meet."""
    top, left = max(one.row_off, other.row_off), max(one.col_off, other.col_off)
    bottom, right = min(one.row_stop, other.row_stop), min(one.col_stop, other.col_stop)
    if top >= bottom or left >= right:
        return None
    return Window(row_off=top, col_off=left, height=bottom - top, width=right - left)
