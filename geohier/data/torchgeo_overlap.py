"""Which label raster of one torchgeo data set lies over which image of another."""

from pathlib import Path
from typing import Any

import numpy as np

from geohier.errors import InputError
from geohier.raster.files import shown

WHOLE = 0.999
"""Share of an image from which on a label raster is taken to cover all of it."""


def labels_under(images: Any, labels: Any) -> list[dict[str, Path]]:  # noqa: ANN401 - untyped
    """Return the files of each image that a label raster lies over.

    Where several do, those of the image's own time come first, and of these the one that covers all
    of the image.

    Args:
        images: a torchgeo RasterDataset.
        labels: another one.

    Raises:
        InputError: none of the images has labels, or the labels of one are in several rasters.
    """
    over = labels.index.to_crs(images.index.crs)
    found = []
    for period, image in images.index.iterrows():
        near = over[over.intersection(image.geometry).area > 0]
        if len(near):
            label = _one(near, period, image)
            found.append({**_rasters(images, image.filepath), "mask": Path(label)})
    if not found:
        raise InputError(
            f"none of the {len(images.index)} images ({shown(images.index.filepath.iloc[0])}) lies "
            f"under a label raster ({shown(over.filepath.iloc[0])}): check their places"
        )
    return found


def _one(near: Any, period: Any, image: Any) -> str:  # noqa: ANN401
    same_time = near[near.index.overlaps(period)]
    near = same_time if len(same_time) else near
    covered = near.intersection(image.geometry).area / image.geometry.area
    whole = near[np.asarray(covered) > WHOLE]
    fitting = whole if len(whole) else near
    if len(fitting) > 1:
        raise InputError(
            f"{shown(image.filepath)} lies under {len(fitting)} label rasters: merge them "
            "into one, or keep one"
        )
    return str(fitting.filepath.iloc[0])


def _rasters(images: Any, path: str) -> dict[str, Path]:  # noqa: ANN401
    """Return the image's file, or its files by band where each band has one."""
    if not images.separate_files:
        return {"image": Path(path)}
    return {band: Path(images._update_filepath(band, path)) for band in images.bands}
