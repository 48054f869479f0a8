"""One layer of a part as the bytes of a GeoTIFF."""

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.io import MemoryFile

from geohier.geo.window import Window
from geohier.raster.cog import GDAL_OPTIONS

STRIP_BYTES = 128 << 10
"""Pixels that are compressed together: long enough to compress well."""


def encode(values: NDArray[np.generic], window: Window) -> bytes:
    """Return a `(C, H, W)` array as the bytes of a part file.

    GDAL writes it in memory: a full disk then meets Python's own `write`, which never keeps quiet
    about it. The part lies in pixel coordinates, counted from
    1, since GDAL takes an identity for no place at all.
    """
    count, height, width = values.shape
    profile = {
        "count": count,
        "height": height,
        "width": width,
        "dtype": values.dtype.name,
        "compress": "deflate",
        "zlevel": 1,
        "interleave": "band",
        "blockysize": max(1, min(height, STRIP_BYTES // (width * values.itemsize))),
        "transform": Affine(1, 0, window.col_off + 1, 0, 1, window.row_off + 1),
    }
    with rasterio.Env(**GDAL_OPTIONS), MemoryFile() as memory:
        with memory.open(driver="GTiff", **profile) as file:
            file.write(values)
        return bytes(memory.getbuffer())
