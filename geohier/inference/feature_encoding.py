"""Scale and offset of each feature, from a sample of the scene that is the same for every tiling.

Looked at are tiles in even places, more of them where most of the scene is nodata, in the end all.
"""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from geohier.geo.tiling import Tile
from geohier.geo.window import Window
from geohier.inference.bands import PixelBand
from geohier.inference.batching import TileBatch, stacked
from geohier.inference.cells import any_in_cell
from geohier.inference.job import Job
from geohier.inference.scoring import Scorer
from geohier.raster.layers import FEATURES, STEPS, Encoding
from geohier.raster.source import Pixels

SIDE_PX = 512
PLACES_PER_AXIS = (3, 9, None)
"""Places that are looked at, along each axis; None for side by side."""
ENOUGH_CELLS = 4096
"""Fewer cells than this say little about a feature."""
CELLS_PER_PLACE = 4096
PERCENTILES = (0.1, 99.9)
"""What lies beyond is stored as the lowest or highest step."""
DIGITS = 6
"""Digits of scale and offset: the last bits of a network's sums differ between machines."""


def measure_encodings(job: Job) -> list[Encoding]:
    """Return scale and offset of each feature of a job, from its lowest and highest values.

    A feature that is the same everywhere gets steps of 1.

    Raises:
        ModelError: features are not finite.
        ResourceError: a tile does not fit the memory of the device.
    """
    values = _sample(job)
    if not values.shape[1]:
        return [(1.0, 0.0)] * len(values)
    low, high = np.percentile(values, PERCENTILES, axis=1)
    return [_encoding(*ends) for ends in zip(low.tolist(), high.tolist(), strict=True)]


def _encoding(low: float, high: float) -> Encoding:
    scale = (high - low) / STEPS
    return float(f"{scale or 1:.{DIGITS}g}"), float(f"{low:.{DIGITS}g}")


def _sample(job: Job) -> NDArray[np.float32]:
    """Return features of cells of the scene, `(C, N)`."""
    nothing = np.zeros((job.reduction.channels(FEATURES), 0), np.float32)
    with job.scorer() as scorer:
        for places in PLACES_PER_AXIS:
            values = np.concatenate([nothing, *_looked_at(job, scorer, places)], axis=1)
            if values.shape[1] >= ENOUGH_CELLS:
                break
    return values


def _looked_at(job: Job, scorer: Scorer, places: int | None) -> Iterator[NDArray[np.float32]]:
    found = 0
    for window in _windows(job, places):
        if places is None and found >= ENOUGH_CELLS:
            return
        held = window.clipped(height=job.plan.grid.height, width=job.plan.grid.width)
        if not job.reader.may_hold_data(held):
            continue
        values = _features(job, scorer, window, held)
        found += values.shape[1]
        yield values[:, :: max(1, values.shape[1] // CELLS_PER_PLACE)]


def _features(job: Job, scorer: Scorer, window: Window, held: Window) -> NDArray[np.float32]:
    """Return the features of the valid cells of a window, `(C, N)`."""
    pixels, _ = job.reader.read_salvaged(held)
    wanted = any_in_cell(pixels.valid.any(axis=0), job.predictor.stride)
    if not wanted.any():
        return np.zeros((job.reduction.channels(FEATURES), 0), np.float32)
    ((_, features),) = scorer.score([_batch(job, pixels, window, held)])
    assert features is not None
    height, width = wanted.shape
    values: NDArray[np.float32] = features[:, :height, :width].cpu().numpy()[:, wanted]
    return values


def _batch(job: Job, pixels: Pixels, window: Window, held: Window) -> TileBatch:
    band = PixelBand(
        pixels=pixels,
        row_off=held.row_off,
        col_off=held.col_off,
        height=job.plan.grid.height,
        width=job.plan.grid.width,
        all_valid=False,
    )
    cut = band.cut(window)
    tile = Tile(row=0, column=0, window=window)
    return TileBatch(tiles=(tile,), pixels=stacked([cut.values]), valid=stacked([cut.valid]))


def _windows(job: Job, places: int | None) -> Iterator[Window]:
    """Yield square windows of the model's tiles, in even rows and columns."""
    card, grid = job.predictor.card, job.plan.grid
    whole = card.tile_size_px if card.tile_dependent and card.tile_size_px else SIDE_PX
    side = -(-whole // card.stride) * card.stride
    for row in _starts(grid.height, side, places, card.stride):
        for column in _starts(grid.width, side, places, card.stride):
            yield Window(row_off=row, col_off=column, height=side, width=side)


def _starts(length: int, side: int, places: int | None, stride: int) -> list[int]:
    """Return where windows begin along an axis, on the cells of all levels."""
    most = -(-length // side)
    last = max(length - side, 0)
    even = np.linspace(0, last, min(most, places or most))
    return sorted({math.ceil(at / stride) * stride for at in even})
