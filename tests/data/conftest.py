"""A folder of small labelled scenes on disk, as users have them."""

import csv
from collections.abc import Callable
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
import rasterio
from affine import Affine

from geohier.config.schema import TrainConfig

AddScene = Callable[..., None]
MakeConfig = Callable[..., TrainConfig]


@pytest.fixture
def data_folder(tmp_path: Path) -> Path:
    """A folder with images/, masks/ and, from the first scene on, split.csv."""
    folder = tmp_path / "roofs"
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    return folder


@pytest.fixture
def add_scene(data_folder: Path) -> AddScene:
    """Return a function that writes an image `(C, H, W)` and its mask `(H, W)`."""
    rows: list[dict[str, str]] = []

    def add(
        name: str,
        image: np.ndarray,
        mask: np.ndarray,
        *,
        split: str = "train",
        gsd_m: float = 1.0,
        mask_shift_px: float = 0.0,
        windows: str = "",
        descriptions: tuple[str, ...] = (),
        **profile: object,
    ) -> None:
        north = 5_000_000 - 3000 * (crc32(name.encode()) % 1000)  # a place of its own
        place = Affine(gsd_m, 0, 500_000, 0, -gsd_m, north)
        files = {"image": f"images/{name}.tif", "mask": f"masks/{name}.tif"}
        _write(data_folder / files["image"], image, place, descriptions, **profile)
        mask = mask if mask.ndim == 3 else mask[None]
        _write(data_folder / files["mask"], mask, place @ Affine.translation(mask_shift_px, 0))
        rows.append({"scene": name, "split": split, **files, "windows": windows})
        with (data_folder / "split.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)

    return add


@pytest.fixture
def make_config(data_folder: Path) -> MakeConfig:
    """Return a function that makes a config for the folder; sections override small defaults."""

    def make(data: dict[str, object] | None = None, **sections: object) -> TrainConfig:
        classes = {"ground": 0, "roof": 1}
        return TrainConfig.model_validate(
            {
                "data": {"root": data_folder, "classes": classes, **(data or {})},
                "chips": {"size_px": 32},
                "training": {"block_px": 32, "buffer_px": 4},
                **sections,
            }
        )

    return make


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def _write(
    path: Path,
    values: np.ndarray,
    transform: Affine,
    descriptions: tuple[str, ...] = (),
    **profile: object,
) -> None:
    count, height, width = values.shape
    shape = {"count": count, "height": height, "width": width, "dtype": values.dtype.name}
    place = {"transform": transform, "crs": "EPSG:32631"}
    with rasterio.open(path, "w", driver="GTiff", **shape, **place, **profile) as target:
        target.write(values)
        for band, description in enumerate(descriptions, start=1):
            target.set_band_description(band, description)
