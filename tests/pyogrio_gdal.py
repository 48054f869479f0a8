"""Rasters as the GDAL sees them that comes with pyogrio: another build than rasterio's.

pyogrio itself opens vectors only (it asks GDAL for nothing else), so its library is called here.
"""

import ctypes
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyogrio
from affine import Affine
from numpy.typing import NDArray

OF_RASTER = 2
READ = 0
UINT16 = 2

_Handle = ctypes.c_void_p


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A raster as it was seen.

    Shape:
        - values: `(C, H, W)`
    """

    wkt: str
    transform: Affine
    nodata: float
    values: NDArray[np.uint16]


def seen_by_pyogrio(path: Path) -> Seen:
    """Open a raster and read all of it."""
    gdal = _library()
    file = gdal.GDALOpenEx(str(path).encode(), OF_RASTER, None, None, None)
    assert file, f"{path} is not opened by GDAL {pyogrio.__gdal_version_string__}"
    try:
        place = (ctypes.c_double * 6)()
        assert gdal.GDALGetGeoTransform(file, place) == 0
        return Seen(
            wkt=gdal.GDALGetProjectionRef(file).decode(),
            transform=Affine.from_gdal(*place),
            nodata=gdal.GDALGetRasterNoDataValue(gdal.GDALGetRasterBand(file, 1), None),
            values=_values(gdal, file),
        )
    finally:
        gdal.GDALClose(file)


def _library() -> ctypes.CDLL:
    gdal = ctypes.CDLL(pyogrio._io.__file__)  # finds what this module was linked with
    for name, result, arguments in (
        ("GDALOpenEx", _Handle, [ctypes.c_char_p, ctypes.c_uint, *[_Handle] * 3]),
        ("GDALClose", None, [_Handle]),
        ("GDALGetGeoTransform", ctypes.c_int, [_Handle, _Handle]),
        ("GDALGetProjectionRef", ctypes.c_char_p, [_Handle]),
        ("GDALGetRasterCount", ctypes.c_int, [_Handle]),
        ("GDALGetRasterXSize", ctypes.c_int, [_Handle]),
        ("GDALGetRasterYSize", ctypes.c_int, [_Handle]),
        ("GDALGetRasterBand", _Handle, [_Handle, ctypes.c_int]),
        ("GDALGetRasterNoDataValue", ctypes.c_double, [_Handle, _Handle]),
        (
            "GDALRasterIO",
            ctypes.c_int,
            [_Handle, *[ctypes.c_int] * 5, _Handle, *[ctypes.c_int] * 5],
        ),
    ):
        function = getattr(gdal, name)
        function.restype, function.argtypes = result, arguments
    return gdal


def _values(gdal: ctypes.CDLL, file: int) -> NDArray[np.uint16]:
    width, height = gdal.GDALGetRasterXSize(file), gdal.GDALGetRasterYSize(file)
    values = np.zeros((gdal.GDALGetRasterCount(file), height, width), np.uint16)
    for number, band in enumerate(values, start=1):
        size = (width, height)
        at = gdal.GDALGetRasterBand(file, number)
        failed = gdal.GDALRasterIO(at, READ, 0, 0, *size, band.ctypes.data, *size, UINT16, 0, 0)
        assert not failed, f"band {number} cannot be read"
    return values
