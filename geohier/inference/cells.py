"""The grid of a level: square cells of several pixels, counted from the raster's top-left corner.

Where a raster's sides are no multiples of the cell, the last cells reach beyond its end.
"""

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from geohier.geo.tiling import TileGrid
from geohier.geo.window import Window


def geobox_of_cells(box: GeoBox, stride: int) -> GeoBox:
    """Return the grid of the cells of `stride` pixels a side that cover a raster.

    Example:
        >>> box = GeoBox((9, 8), Affine(10, 0, 500, 0, -10, 900), "EPSG:32631")
        >>> cells = geobox_of_cells(box, 4)
        >>> cells.shape, cells.resolution, cells.affine.c, cells.affine.f
        (Shape2d(x=2, y=3), Resolution(x=40, y=-40), 500.0, 900.0)
    """
    height, width = box.shape
    shape = (-(-height // stride), -(-width // stride))
    return GeoBox(shape, box.affine @ Affine.scale(stride), box.crs)


def tiles_of_cells(grid: TileGrid, stride: int) -> TileGrid:
    """Return the same tiles in cells: sizes, overlaps and margins are multiples of `stride`."""
    if stride == 1:
        return grid
    return TileGrid(
        height=-(-grid.height // stride),
        width=-(-grid.width // stride),
        size=grid.size // stride,
        overlap=grid.overlap // stride,
        margin=grid.margin // stride,
    )


def pixels_of_cells(cells: Window, stride: int, grid: TileGrid) -> Window:
    """Return the pixels of the raster that a window of cells covers."""
    return Window(
        row_off=cells.row_off * stride,
        col_off=cells.col_off * stride,
        height=cells.height * stride,
        width=cells.width * stride,
    ).clipped(height=grid.height, width=grid.width)


def any_in_cell(mask: NDArray[np.bool_], stride: int) -> NDArray[np.bool_]:
    """Return which cells hold a pixel of a mask `(H, W)` that begins with a whole cell."""
    if stride == 1:
        return mask
    height, width = mask.shape
    rows = np.logical_or.reduceat(mask, np.arange(0, height, stride), axis=0)
    cells: NDArray[np.bool_] = np.logical_or.reduceat(rows, np.arange(0, width, stride), axis=1)
    return cells
