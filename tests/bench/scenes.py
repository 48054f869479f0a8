"""Seeded rasters with the texture of real imagery, made once and kept in the temporary folder."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.windows import Window

CACHE = Path(tempfile.gettempdir()) / "geohier-bench"
BLOCK_PX = 512
BANDS = ("blue", "green", "red", "nir08")


def scene(height: int, width: int) -> Path:
    """Return a 4-band uint8 raster, deflate in blocks of 512 px, of about 65 % of its raw size.

    Smooth fields and noise of 2 levels: a decoder has as much to do as with imagery.
    """
    path = CACHE / f"scene-{height}-{width}.tif"
    if not path.is_file():
        CACHE.mkdir(exist_ok=True)
        draft = path.with_suffix(".tmp.tif")
        _write(draft, height, width)
        draft.replace(path)
    return path


def _write(path: Path, height: int, width: int) -> None:
    profile = {"driver": "GTiff", "height": height, "width": width, "count": len(BANDS)}
    layout = {"tiled": True, "blockxsize": BLOCK_PX, "blockysize": BLOCK_PX, "compress": "deflate"}
    place = {"crs": "EPSG:32631", "transform": Affine(1, 0, 500_000, 0, -1, 5_000_000)}
    size = {"dtype": "uint8", "bigtiff": "if_safer"}
    with rasterio.open(path, "w", **profile, **layout, **place, **size) as file:
        for band, name in enumerate(BANDS, start=1):
            file.set_band_description(band, name)
        for top, values in _strips(height, width):
            file.write(values, window=Window(0, top, width, values.shape[1]))


def _strips(height: int, width: int) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Yield the rows of one row of blocks after the other, `(C, H, W)`, and where they begin."""
    rng = np.random.default_rng(0)
    x = np.arange(width, dtype=np.float32)
    for top in range(0, height, BLOCK_PX):
        y = np.arange(top, min(top + BLOCK_PX, height), dtype=np.float32)[:, None]
        field = np.sin(x / 301) * np.cos(y / 419) + np.sin(x / 97 + y / 71) / 2
        values = np.empty((len(BANDS), *field.shape), np.uint8)
        for band in range(len(BANDS)):
            noise = rng.standard_normal(field.shape, dtype=np.float32)
            level = 110 + 12 * band + (35 - 4 * band) * field + 2 * noise
            values[band] = np.clip(level, 1, 254)
        yield top, values


def made(height: int, width: int) -> str:
    """Return `scene` as text, for other processes."""
    return str(scene(height, width))
