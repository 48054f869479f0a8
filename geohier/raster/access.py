"""The one place that opens rasters: under which GDAL options, and with which errors.

Every exception of rasterio and GDAL leaves this module as a `RasterReadError` of one line.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import rasterio
from rasterio.env import setenv
from rasterio.errors import NotGeoreferencedWarning

from geohier.errors import GeohierError, RasterReadError, first_cause
from geohier.geo.window import Window
from geohier.raster.checked_vrt import checked_vrt
from geohier.raster.files import driver_of, is_remote, local_file, shown

SMALLEST_CACHE_BYTES = 64 * 2**20
REMOTE_DRIVERS = ("GTiff", "JP2OpenJPEG", "PNG", "JPEG")

COMMON_OPTIONS = {
    "GDAL_NUM_THREADS": "1",
    # GDAL reads whole PNGs by a short cut that hides damage: it gives what lay in the memory.
    "GDAL_PNG_WHOLE_IMAGE_OPTIM": "NO",
}
LOCAL_OPTIONS = COMMON_OPTIONS | {
    # No folder listing, which is slow among many files; .msk, .ovr and .aux.xml are still found.
    "GDAL_DISABLE_READDIR_ON_OPEN": "TRUE",
    # No file on the network ends so: whatever GDAL is led to ask for, it may not.
    "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": ".no-network",
}
REMOTE_OPTIONS = COMMON_OPTIONS | {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_HTTP_TIMEOUT": "30",
    "GDAL_HTTP_CONNECTTIMEOUT": "10",
    "GDAL_HTTP_MAX_RETRY": "4",
    "GDAL_HTTP_RETRY_DELAY": "1",
}


class BlockReadError(RasterReadError):
    """Some block of a window cannot be decoded; `window` says where."""

    def __init__(self, message: str, window: Window) -> None:
        super().__init__(message)
        self.window = window


class BlockCache:
    """Size of GDAL's cache of decoded blocks, which all rasters of the process share.

    It starts small, for blocks are decoded once, and grows to hold the largest block of any raster
    that is opened, so that a file with one strip is not decoded again for each window.
    """

    nbytes = 0

    @classmethod
    def reserve(cls, block_bytes: int) -> int:
        """Make room for blocks of this size; return the bytes that the cache may take."""
        wanted = max(SMALLEST_CACHE_BYTES, 2 * block_bytes)
        if wanted > cls.nbytes:
            with rasterio.Env():
                setenv(GDAL_CACHEMAX=wanted)  # unlike an option of Env, this one stays
            cls.nbytes = wanted
        return cls.nbytes


@contextmanager
def raster_io(path: str | Path, *, window: Window | None = None) -> Iterator[None]:
    """Run raster calls under geohier's GDAL options, and turn what they raise into one line.

    Raises:
        BlockReadError: something failed while `window` was read.
        RasterReadError: something failed otherwise.
    """
    try:
        with rasterio.Env(**(REMOTE_OPTIONS if is_remote(path) else LOCAL_OPTIONS)):
            yield
    except (GeohierError, MemoryError):
        raise
    except Exception as error:
        if window is None:
            raise RasterReadError(f"{shown(path)} cannot be read: {first_cause(error)}") from error
        rows, columns = window.slices
        raise BlockReadError(
            f"{shown(path)}: rows {rows.start}-{rows.stop}, columns {columns.start}-{columns.stop} "
            f"cannot be read: {first_cause(error)}",
            window,
        ) from error


class Handle:
    """An open file that can be let go of: it opens again when it is next needed."""

    def __init__(self, opens: Callable[[], rasterio.DatasetReader]) -> None:
        self._opens = opens
        self._dataset: rasterio.DatasetReader | None = None

    @property
    def dataset(self) -> rasterio.DatasetReader:
        """The open raster."""
        if self._dataset is None:
            self._dataset = self._opens()
        return self._dataset

    def release(self) -> None:
        """Close the file for now."""
        if self._dataset is not None:
            self._dataset.close()
            self._dataset = None


def open_dataset(path: str | Path, *, allow_remote: bool = False) -> rasterio.DatasetReader:
    """Open a raster of an allowed format; read it only within `raster_io`.

    Args:
        path: a file; with `allow_remote` also a URL or a `/vsi` path.
        allow_remote: let GDAL use the network for this raster.

    Raises:
        UnsafeInputError: opening it would reach beyond local images.
        InputError: the file is missing, damaged or in another format.
    """
    if is_remote(path) and allow_remote:
        return _open_remote(path)
    file = local_file(path)
    driver = driver_of(file)
    name = checked_vrt(file) if driver == "VRT" else str(file)
    with raster_io(path):
        return _open(name, driver)


def _open_remote(path: str | Path) -> rasterio.DatasetReader:
    name = shown(path)  # with both slashes, whatever a Path made of them
    for driver in REMOTE_DRIVERS[:-1]:
        try:
            with raster_io(path):
                return _open(name, driver)
        except RasterReadError:
            continue
    with raster_io(path):
        return _open(name, REMOTE_DRIVERS[-1])


def _open(name: str, driver: str) -> rasterio.DatasetReader:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        return rasterio.open(name, driver=driver)
