"""Grids of pixels: that of a raster, and whether rasters lie on one."""

from pathlib import Path

import rasterio
from odc.geo.geobox import GeoBox

from geohier.errors import InputError
from geohier.raster.files import shown

TOLERANCE_PX = 0.05
"""Largest shift between pixels that count as the same."""


def grid_of(dataset: rasterio.DatasetReader) -> GeoBox:
    """Return the grid of any raster; without a CRS, a grid of pixels."""
    crs = None if dataset.crs is None else dataset.crs.to_wkt()
    return GeoBox(dataset.shape, dataset.transform, crs)


def same_grid(box: GeoBox, grid: GeoBox) -> bool:
    """Whether rasters have the same size and CRS, and their pixels the same places."""
    if box.shape != grid.shape or box.crs != grid.crs:
        return False
    height, width = box.shape
    to_grid = ~grid.affine @ box.affine
    corners = [(0, 0), (width, 0), (0, height), (width, height)]
    places = [(corner, to_grid @ corner) for corner in corners]
    return all(
        abs(found - wanted) <= TOLERANCE_PX
        for corner, place in places
        for found, wanted in zip(place, corner, strict=True)
    )


def offset_on(grid: GeoBox, box: GeoBox, path: Path, grid_path: Path) -> tuple[int, int]:
    """Return row and column of `grid` at which the first pixel of `box` lies.

    Args:
        grid: the grid.
        box: another raster.
        path: file of `box`, for messages.
        grid_path: file of `grid`, for messages.

    Raises:
        InputError: the rasters differ in CRS or pixel size, or are shifted by part of a pixel.
    """
    if box.crs != grid.crs:
        raise InputError(
            f"{shown(path)} is in {crs_name(box) or 'no CRS'}, but {shown(grid_path)} in "
            f"{crs_name(grid) or 'no CRS'}: "
            "bring them to one CRS (gdalwarp -t_srs)"
        )
    height, width = box.shape
    to_grid = ~grid.affine @ box.affine
    column, row = to_grid @ (0, 0)
    ends = [(width, 0), (0, height)]
    drifts = [
        abs(found - wanted)
        for end in ends
        for found, wanted in zip(to_grid @ end, (column + end[0], row + end[1]), strict=True)
    ]
    if max(drifts) > TOLERANCE_PX:
        raise InputError(
            f"{shown(path)} has pixels of {_pixel_size(box)}, but {shown(grid_path)} of "
            f"{_pixel_size(grid)}: bring them to one resolution (gdalwarp -tr)"
        )
    if max(abs(row - round(row)), abs(column - round(column))) > TOLERANCE_PX:
        raise InputError(
            f"{shown(path)} lies {row - round(row):+.2f} rows and {column - round(column):+.2f} "
            f"columns off the pixels of {shown(grid_path)}: align them (gdalwarp -tap)"
        )
    return round(row), round(column)


def crs_name(box: GeoBox) -> str | None:
    """Return `EPSG:32631`, or the name of a CRS that has no code; None without a CRS."""
    if box.crs is None:
        return None
    return f"EPSG:{box.crs.epsg}" if box.crs.epsg else str(box.crs.proj.name)


def _pixel_size(box: GeoBox) -> str:
    a, b, _, d, e, _ = box.affine[:6]
    turned = f" turned by {b:g}, {d:g}" if b or d else ""
    return f"{a:.10g} x {e:.10g}{turned}"
