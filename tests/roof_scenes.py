"""Small scenes of bright roofs, which a small network learns in seconds."""

from collections.abc import Callable
from pathlib import Path
from zlib import crc32

import numpy as np
import rasterio
from affine import Affine

from geohier.config.schema import TrainConfig

MakeConfig = Callable[..., TrainConfig]

SIDE = 192


def write_pair(folder: Path, name: str, image: np.ndarray, mask: np.ndarray) -> None:
    """Write images/NAME.tif and masks/NAME.tif under a folder; each name is a place of its own."""
    east = 500_000 + 500 * (crc32(name.encode()) % 400)
    place = {"crs": "EPSG:32631", "transform": Affine(0.5, 0, east, 0, -0.5, 5_000_000)}
    for kind, values in (("images", image), ("masks", mask[None])):
        path = folder / kind / f"{name}.tif"
        path.parent.mkdir(parents=True, exist_ok=True)
        count, height, width = values.shape
        shape = {"count": count, "height": height, "width": width, "dtype": "uint8"}
        with rasterio.open(path, "w", driver="GTiff", **shape, **place) as file:
            file.write(values.astype("uint8"))


def roofs(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return an image with bright roofs, and where they are."""
    rng = np.random.default_rng(seed)
    mask = np.kron(rng.integers(0, 2, (6, 6)), np.ones((SIDE // 6, SIDE // 6), int))
    return 60 + 100 * mask[None] + rng.normal(0, 10, (2, SIDE, SIDE)), mask
