"""From part files to one Cloud Optimized GeoTIFF that has been read back.

The parts are seen as one raster through a VRT, GDAL's COG driver copies it (that driver alone
reports every failed write), and every block of the copy, overviews included, is decoded again:
its pixels must have the digests that were taken when they were computed.
"""

import hashlib
import re
import warnings
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path

import numpy as np
import rasterio
import rasterio.shutil
from affine import Affine
from odc.geo.geobox import GeoBox
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import DatasetReader, MemoryFile
from rasterio.windows import Window as RasterioWindow

from geohier.errors import ConfigError, InputError, ResourceError
from geohier.geo.window import Window
from geohier.raster.access import BlockCache
from geohier.raster.durable import remove_files, sync, writing
from geohier.raster.layers import Layer
from geohier.raster.record import Part
from geohier.raster.vrt import vrt_of

GDAL_OPTIONS = {
    # Threads lose full-disk errors of the GTiff driver, also when only the environment asks.
    "GDAL_NUM_THREADS": "1",
    "GDAL_PAM_ENABLED": "NO",  # no .aux.xml files
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "COG_TMP_COMPRESSION": "NONE",  # ZSTD for the overviews on their way costs half of the time
}
"""GDAL's configuration while results are written."""

CREATION_OPTIONS = {
    "COMPRESS": "DEFLATE|LZW|ZSTD",
    "LEVEL": "[1-9]|1[0-9]|2[0-2]",
    "PREDICTOR": "YES|NO|STANDARD",
    "BLOCKSIZE": "64|128|256|512|1024|2048|4096",
    "BIGTIFF": "YES|NO|IF_NEEDED|IF_SAFER",
    "INTERLEAVE": "BAND|PIXEL|TILE",
    "NUM_THREADS": r"\d+|ALL_CPUS",
    "OVERVIEWS": "AUTO|NONE",
    "OVERVIEW_COUNT": r"\d+",
    "OVERVIEW_RESAMPLING": "NEAREST|MODE|AVERAGE",
    "OVERVIEW_COMPRESS": "AUTO|DEFLATE|LZW|ZSTD",
    "OVERVIEW_PREDICTOR": "YES|NO|STANDARD",
    "SPARSE_OK": "YES|NO",
}
"""Creation options of the COG driver that a user may set, with their values; all are lossless."""

BLOCK_PX = 512
"""Side of the blocks of a final file."""

_READ_BYTES = 16 << 20
"""Pixels that are read back at a time."""


def creation_options(given: Mapping[str, str]) -> dict[str, str]:
    """Check creation options (`--co KEY=VALUE`) and return them in capitals.

    Raises:
        ConfigError: an option is unknown, loses values, or would change the grid.
    """
    options = {key.upper(): str(value).upper() for key, value in sorted(given.items())}
    for key, value in options.items():
        if key not in CREATION_OPTIONS:
            raise ConfigError(f"creation option {key} is not for results: {_options_near(key)}")
        if not re.fullmatch(CREATION_OPTIONS[key], value):
            values = CREATION_OPTIONS[key].replace("|", ", ").replace(r"\d+", "a number")
            raise ConfigError(f"creation option {key}={value} is not known: choose {values}")
    return options


def _options_near(key: str) -> str:
    near = get_close_matches(key, CREATION_OPTIONS, n=3, cutoff=0.5)
    return f"did you mean {' or '.join(near)}?" if near else f"choose {', '.join(CREATION_OPTIONS)}"


def write_cog(
    path: Path,
    layer: Layer,
    geobox: GeoBox,
    parts: Sequence[Part],
    *,
    tags: Mapping[str, str],
    options: Mapping[str, str],
    verify: bool = True,
) -> None:
    """Write one layer of the parts beside `path` as a COG at `path`, and read it back.

    Args:
        path: file to write, in the folder of the part files.
        layer: what the numbers mean.
        geobox: grid of the result.
        parts: windows that cover the grid.
        tags: what the file says about its content.
        options: creation options, checked.
        verify: whether the file is read back; only a benchmark may say no.

    Raises:
        ResourceError: the disk is full or failing, or what was read back is not what was computed.
    """
    source = path.with_suffix(".vrt")
    BlockCache.reserve(geobox.shape[1] * BLOCK_PX * layer.bytes_per_pixel // layer.count)
    try:
        with writing(path), rasterio.Env(**GDAL_OPTIONS):
            source.write_text(vrt_of(layer, geobox, parts, tags), encoding="utf-8")
            rasterio.shutil.copy(source, path, driver="COG", **_all_options(layer, options))
            sync(path)
            if verify:
                verify_cog(path, layer, geobox, parts)
    except ResourceError:
        remove_files([path])
        raise
    finally:
        remove_files([source])


def verify_cog(path: Path, layer: Layer, geobox: GeoBox, parts: Sequence[Part]) -> None:
    """Decode every block of a file; its pixels and its grid must be those of the parts.

    Raises:
        ResourceError: they differ, or a block cannot be decoded.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        _verify_grid(path, layer, geobox)
        with rasterio.open(path) as file:
            for part in parts:
                if _digest_of_window(file, layer, part.window) != part.files[layer.name].pixels:
                    raise ResourceError(_blame(path, layer, part))
        _read_overviews(path)


def check_crs(geobox: GeoBox) -> None:
    """Check that a GeoTIFF can hold the grid's CRS, before hours of work go into one.

    Raises:
        InputError: it cannot; a few rare ones, such as rotated poles, have no GeoTIFF keys.
    """
    if geobox.crs is None:
        return
    profile = {"width": 1, "height": 1, "count": 1, "dtype": "uint8", "crs": geobox.crs.wkt}
    with rasterio.Env(**GDAL_OPTIONS), MemoryFile() as memory:
        with memory.open(driver="GTiff", transform=Affine(1, 0, 1, 0, 1, 1), **profile):
            pass
        with memory.open() as file:
            if file.crs is None:
                raise InputError(
                    f"the raster's CRS ({geobox.crs.proj.name}) cannot be kept in a GeoTIFF: "
                    "reproject the raster first, to a CRS with an EPSG code"
                )


def _all_options(layer: Layer, given: Mapping[str, str]) -> dict[str, str]:
    options = {
        "COMPRESS": "DEFLATE",
        "BLOCKSIZE": str(BLOCK_PX),
        "BIGTIFF": "IF_SAFER",
        "NUM_THREADS": "1",
        "STATISTICS": "NO",
        "INTERLEAVE": "BAND",  # one class can be read without the others
        "OVERVIEW_RESAMPLING": layer.resampling,
    } | dict(given)
    if options["COMPRESS"] == "DEFLATE":
        options.setdefault("LEVEL", "1")
    return options


def _verify_grid(path: Path, layer: Layer, geobox: GeoBox) -> None:
    with rasterio.open(path) as file:
        found = (file.shape, file.count, set(file.dtypes), file.nodata)
        meant = (tuple(geobox.shape), layer.count, {layer.dtype}, layer.nodata)
        if found != meant or not np.allclose(
            tuple(file.transform), tuple(geobox.affine), rtol=1e-12, atol=0
        ):
            raise ResourceError(
                f"{path} was written as {found} at {tuple(file.transform)}, but should be {meant} "
                f"at {tuple(geobox.affine)}: the disk or GDAL is at fault, run again"
            )


def _digest_of_window(file: DatasetReader, layer: Layer, window: Window) -> str:
    """Return the SHA-256 of a window as its `(C, H, W)` array has it, read in small pieces."""
    digest = hashlib.sha256()
    rows = max(1, _READ_BYTES // (window.width * layer.bytes_per_pixel // layer.count))
    for band in range(1, layer.count + 1):
        for row in range(window.row_off, window.row_stop, rows):
            height = min(rows, window.row_stop - row)
            piece = RasterioWindow(window.col_off, row, window.width, height)
            digest.update(file.read(band, window=piece))
    return digest.hexdigest()


def _blame(path: Path, layer: Layer, part: Part) -> str:
    file = part.files[layer.name]
    if not file.matches(path.parent):
        return f"{path.parent / file.name} changed after it was written: run again to renew it"
    return (
        f"{path} does not hold what was computed for {part.window}: the disk or the memory is "
        "at fault, check them and run again"
    )


def _read_overviews(path: Path) -> None:
    with rasterio.open(path) as file:
        levels = len(file.overviews(1))
    for level in range(levels):
        with rasterio.open(path, overview_level=level) as file:
            for _, window in file.block_windows(1):
                file.read(window=window)
