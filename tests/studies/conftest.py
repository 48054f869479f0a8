"""Class rasters on disk, as `geohier predict` writes them."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio

WriteScene = Callable[..., Path]
WriteClasses = Callable[..., Path]


@pytest.fixture
def write_classes(write_scene: WriteScene) -> WriteClasses:
    """Return a function that writes `(H, W)` class numbers with the tag that names the classes."""

    def write(
        values: np.ndarray,
        name: str = "prediction.tif",
        classes: tuple[str, ...] = ("ground", "building"),
        **profile: object,
    ) -> Path:
        path = write_scene(values[None].astype("uint8"), name, nodata=255, **profile)
        entries = [
            {"value": value, "name": name, "color_hint": f"{40 * value:02X}5080"}
            for value, name in enumerate(classes)
        ]
        entries.append({"value": 255, "name": "nodata", "nodata": True})
        with rasterio.open(path, "r+") as file:
            if classes:
                file.update_tags(classification_classes=json.dumps(entries))
        return path

    return write
