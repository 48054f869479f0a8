"""Scale and offset of each feature, from a sample of the scene that is the same for every tiling.

Looked at are tiles in even places, more of them where most of the scene is nodata, in the end all.
"""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

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
LEAST_PER_PLACE = 512
MOST_CELLS = 81 * LEAST_PER_PLACE
"""Cells that are kept of all places together: features are many, memory is not."""
PERCENTILES = (0.1, 99.9)
"""What lies beyond is stored as the lowest or highest step."""
DIGITS = 6
"""Digits of scale and offset: the last bits of a network's sums differ between machines."""


@dataclass(frozen=True, slots=True)
class Places:
    """Square windows in even rows and columns of a scene, on the cells of all levels."""

    rows: tuple[int, ...]
    columns: tuple[int, ...]
    side: int

    @classmethod
    def over(cls, job: Job, number: int | None) -> Self:
        """Return so many places along each axis, or as many as cover it."""
        card, grid = job.predictor.card, job.plan.grid
        whole = card.tile_size_px if card.tile_dependent and card.tile_size_px else SIDE_PX
        side = math.ceil(whole / card.stride) * card.stride
        rows = _starts(grid.height, side, number, card.stride)
        return cls(rows, _starts(grid.width, side, number, card.stride), side)

    def __len__(self) -> int:
        return len(self.rows) * len(self.columns)

    def __iter__(self) -> Iterator[Window]:
        for row, column in itertools.product(self.rows, self.columns):
            yield Window(row_off=row, col_off=column, height=self.side, width=self.side)


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
    return [_encoding(*np.percentile(feature, PERCENTILES).tolist()) for feature in values]


def _encoding(low: float, high: float) -> Encoding:
    scale = (high - low) / STEPS
    return float(f"{scale or 1:.{DIGITS}g}"), float(f"{low:.{DIGITS}g}")


def _sample(job: Job) -> NDArray[np.float32]:
    """Return features of cells of the scene, `(C, N)`."""
    values = nothing = np.zeros((job.reduction.channels(FEATURES), 0), np.float32)
    before: Places | None = None
    with job.scorer() as scorer:
        for number in PLACES_PER_AXIS:
            places = Places.over(job, number)
            if values.shape[1] >= ENOUGH_CELLS or places == before:
                break
            values = np.concatenate([nothing, *_looked_at(job, scorer, places)], axis=1)
            before = places
    return values


def _looked_at(job: Job, scorer: Scorer, places: Places) -> Iterator[NDArray[np.float32]]:
    """Yield features of some cells of each place, until there are enough."""
    share = max(MOST_CELLS // len(places), LEAST_PER_PLACE)
    found = 0
    for window in places:
        if found >= MOST_CELLS:
            return
        held = window.clipped(height=job.plan.grid.height, width=job.plan.grid.width)
        if not job.reader.may_hold_data(held):
            continue
        values = _features(job, scorer, window, held)
        kept = values[:, :: max(1, math.ceil(values.shape[1] / share))]
        found += kept.shape[1]
        yield kept


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


def _starts(length: int, side: int, number: int | None, stride: int) -> tuple[int, ...]:
    most = math.ceil(length / side)
    even = np.linspace(0, max(length - side, 0), min(most, number or most))
    return tuple(sorted({math.ceil(at / stride) * stride for at in even}))
