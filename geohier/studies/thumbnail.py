"""Rasters of any size made small enough to look at."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio.enums import Resampling

from geohier.geo.bands import canonical
from geohier.geo.colours import rgb_bands, stretched
from geohier.geo.window import Window
from geohier.raster.access import open_dataset, raster_io
from geohier.raster.describe import band_table
from geohier.studies.comparison import windows

type Shape = tuple[int, int]


def small_shape(height: int, width: int, longest_px: int) -> Shape:
    """Return rows and columns of a picture whose longer side is `longest_px` at most.

    Example:
        >>> small_shape(2000, 500, 1000), small_shape(3, 5, 1000)
        ((1000, 250), (3, 5))
    """
    factor = max(height / longest_px, width / longest_px, 1.0)
    return max(round(height / factor), 1), max(round(width / factor), 1)


def small_grid(grid: GeoBox, shape: Shape) -> GeoBox:
    """Return the grid of a picture of `grid`."""
    zoom = Affine.scale(grid.width / shape[1], grid.height / shape[0])
    return GeoBox(shape, grid.transform @ zoom, grid.crs)


def sample_classes(
    read: Callable[[Window], NDArray[np.int32]], full: Shape, shape: Shape
) -> NDArray[np.int32]:
    """Return the class in the middle of each cell of a picture.

    Every window is read as it is, so that two rasters are sampled at the very same pixels; GDAL's
    overviews may be half a cell apart.
    """
    rows, columns = (_middles(*lengths) for lengths in zip(full, shape, strict=True))
    small = np.empty(shape, np.int32)
    for window in windows(*full):
        inside = [
            np.flatnonzero((at >= part.start) & (at < part.stop))
            for at, part in zip((rows, columns), window.slices, strict=True)
        ]
        if inside[0].size and inside[1].size:
            picked = np.ix_(rows[inside[0]] - window.row_off, columns[inside[1]] - window.col_off)
            small[np.ix_(*inside)] = read(window)[picked]
    return small


def read_colors(path: Path, shape: Shape) -> NDArray[np.float64]:
    """Read an image as red, green, blue and opacity from 0 to 1, `(H, W, 4)`.

    Bands are taken by name, else the first three, else the first as grey; each is stretched
    between its 2nd and 98th percentile. What is nodata or not finite is transparent.

    Raises:
        InputError: the image cannot be read.
    """
    with open_dataset(path) as dataset, raster_io(path):
        bands, _ = band_table(path, dataset, None, None)
        names = [canonical(band.name or "") for band in bands]
        chosen = rgb_bands(names)
        values = dataset.read(
            [at + 1 for at in chosen],
            out_shape=(len(chosen), *shape),
            resampling=Resampling.average,
        ).astype(np.float64)
        nodata = [bands[at].nodata for at in chosen]
    values[[values[at] == nodata[at] for at in range(len(chosen))]] = np.nan
    valid = np.isfinite(values).all(axis=0)
    colors = np.stack([stretched(band, valid) for band in values], axis=-1)
    return np.dstack([np.broadcast_to(colors, (*shape, 3)), valid])


def _middles(full: int, small: int) -> NDArray[np.int64]:
    return ((np.arange(small) + 0.5) * full / small).astype(np.int64)
