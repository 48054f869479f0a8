"""Stacks of dates: as tensors, and as files on disk."""

from collections.abc import Mapping
from datetime import date
from pathlib import Path

import numpy as np
import rasterio
import torch
import yaml
from affine import Affine
from torch import Tensor

from geohier.geo.dates import when
from geohier.layers.dates import with_dates

DATES = (date(2020, 6, 30), date(2019, 1, 15), date(2016, 8, 2))
PLACE = Affine(10, 0, 500_000, 0, -10, 5_000_000)


def images(dates: int = 3, side: int = 64, batch: int = 2, seed: int = 0) -> Tensor:
    """Return normalised images of three bands `(B, T, 3, H, W)`."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, dates, 3, side, side, generator=generator)


def told(shown: Tensor, dates: tuple[date, ...] = DATES, seen: Tensor | None = None) -> Tensor:
    """Return images as a network of dates is given them; 0 where not `seen`, `(B, T, H, W)`."""
    if seen is None:
        return with_dates(shown.flatten(1, 2), None, torch.tensor(when(dates)))
    wide = seen[:, :, None].expand_as(shown)
    valid = wide.flatten(1, 2)
    return with_dates((shown * wide).flatten(1, 2), valid, torch.tensor(when(dates)))


def write_stack(path: Path, stack: Mapping[object, np.ndarray], **profile: object) -> Path:
    """Write an image `(C, H, W)` for each date, and a scene file that names them in this order."""
    dates = []
    for day, values in stack.items():
        image = path.parent / f"{path.name.split('.')[0]}_{day}.tif"
        write_image(image, values, **profile)
        dates.append({"date": day, "files": [{"path": image.name}]})
    path.write_text(yaml.safe_dump({"dates": dates}, sort_keys=False))
    return path


def write_image(path: Path, values: np.ndarray, **profile: object) -> Path:
    """Write red, green and blue."""
    count, height, width = values.shape
    shape = {"count": count, "height": height, "width": width, "dtype": values.dtype.name}
    place = {"transform": PLACE, "crs": "EPSG:32631"}
    with rasterio.open(path, "w", driver="GTiff", **shape, **place, **profile) as target:
        target.write(values)
        for band, name in enumerate(("red", "green", "blue")[:count], start=1):
            target.set_band_description(band, name)
    return path
