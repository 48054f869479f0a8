"""Small scenes of red, green and blue whose brightest band is known, and how they are read."""

from pathlib import Path

import numpy as np
import rasterio

NODATA = 255
SHAPE = (40, 60)
TILES = {"--size": 16, "--overlap": 4, "--device": "cpu"}


def values(seed: int = 0, bands: int = 3, high: int = 250) -> np.ndarray:
    """Return random bytes in which no two bands are equal."""
    rng = np.random.default_rng(seed)
    draws = np.argsort(rng.random((high, SHAPE[0] * SHAPE[1]), dtype="float32"), axis=0)[:bands]
    return (draws + 1).reshape(bands, *SHAPE).astype("uint8")


def brightest(pixels: np.ndarray) -> np.ndarray:
    return pixels.argmax(axis=0)


def read(path: Path, band: int = 1) -> np.ndarray:
    with rasterio.open(path) as file:
        return file.read(band)
