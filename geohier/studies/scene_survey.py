"""What one labelled scene holds, found in one pass: classes, objects, values, and where to look."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geohier.data.labelled import Cut, LabelledPixels, inside
from geohier.data.labels import IGNORE_INDEX
from geohier.data.splits import blocks_of
from geohier.data.strips import labelled_strips
from geohier.geo.gsd import gsd_m
from geohier.geo.window import Window
from geohier.studies.object_sizes import ObjectCounter, WidthCounter

VIEW_PX = 512
"""Longest side of the part of a scene that a picture shows."""

CLOSE_VIEW_PX = 128
SPARSE = 0.05
"""Share of labelled pixels below which a picture goes closer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneSurvey:
    """What a labelled scene holds in its split.

    Args:
        id: name of the scene.
        gsd_m: its ground sample distance, None without a CRS.
        pixels: pixels that belong to the split.
        valid: those that are valid in all bands.
        class_px: labelled pixels of each class.
        sizes_px: objects of each class by their area in pixels.
        runs: runs of pixels of each class, along rows and along columns.
        sample: values `(C, N)` of valid pixels, drawn at random.
        low: lowest valid value of each band.
        high: highest valid value of each band.
        view: the part that shows most of its labels; None without any.
    """

    id: str
    gsd_m: float | None
    pixels: int
    valid: int
    class_px: NDArray[np.int64]
    sizes_px: tuple[Counter[int], ...]
    runs: NDArray[np.int64]
    sample: NDArray[np.generic]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    view: Window | None

    @property
    def labelled(self) -> int:
        """Labelled pixels."""
        return int(self.class_px.sum())


def survey_scene(
    one: LabelledPixels,
    classes: int,
    *,
    sampled: float,
    seed: int,
    on_pixels: Callable[[int], None] = lambda count: None,
) -> SceneSurvey:
    """Read a scene once, from its top, strip by strip.

    Args:
        one: the scene.
        classes: number of classes.
        sampled: share of the valid pixels to keep as a sample.
        seed: decides which.
        on_pixels: told of each strip how many pixels it had.

    Raises:
        RasterReadError: a block cannot be decoded.
    """
    pass_over = _Pass(one, classes, sampled, seed)
    for strip in labelled_strips(one):
        pass_over.take(strip, one.read(strip))
        on_pixels(strip.height * strip.width)
    return pass_over.finish()


@dataclass(frozen=True, slots=True, kw_only=True)
class _View:
    """A part of a scene to look at, how much there is to see, and the share that is labelled."""

    worth: float
    labelled: float
    window: Window | None


_NOTHING = _View(worth=0.0, labelled=0.0, window=None)


class _Pass:
    """What is known of a scene after the strips that were taken."""

    def __init__(self, one: LabelledPixels, classes: int, sampled: float, seed: int) -> None:
        self.one = one
        self.sampled = sampled
        self.rng = np.random.default_rng(seed)
        self.pixels = self.valid = 0
        self.class_px = np.zeros(classes, np.int64)
        self.objects = [ObjectCounter() for _ in range(classes)]
        bands = len(one.bands) // len(one.choice.by_date())
        self.sample = [np.zeros((bands, 0), one.dtype)]
        self.low = np.full(bands, np.inf)
        self.high = np.full(bands, -np.inf)
        self.widths = WidthCounter(classes)
        self.views = {VIEW_PX: _NOTHING, CLOSE_VIEW_PX: _NOTHING}

    def take(self, strip: Window, cut: Cut) -> None:
        parts = self.one.scene.windows
        belongs = inside(strip, parts) if parts else np.ones(cut.valid.shape, np.bool_)
        usable = cut.valid & belongs
        self.pixels += int(belongs.sum())
        self.valid += int(usable.sum())
        self._take_values(self.one.pixels_of(cut, belongs))
        self.class_px += self._counted(cut.labels)
        for index, counter in enumerate(self.objects):
            counter.add(cut.labels == index)
        self.widths.add(cut.labels)
        for side in self.views:
            for block in blocks_of(strip.height, strip.width, side):
                self._consider(cut.labels[block.slices], block.shifted(rows=strip.row_off), side)

    def _take_values(self, values: NDArray[np.generic]) -> None:
        if values.shape[1] == 0:
            return
        self.low = np.minimum(self.low, values.min(axis=1))
        self.high = np.maximum(self.high, values.max(axis=1))
        kept = self.rng.random(values.shape[1]) < self.sampled
        self.sample.append(values[:, kept])

    def _counted(self, labels: NDArray[np.uint8]) -> NDArray[np.int64]:
        return np.bincount(labels.ravel(), minlength=IGNORE_INDEX + 1)[: len(self.class_px)]

    def _consider(self, labels: NDArray[np.uint8], block: Window, side: int) -> None:
        """Keep a block as the one to look at if it holds more, or more different, labels."""
        counts = self._counted(labels)
        worth = float(np.sqrt(counts).sum())
        if worth > self.views[side].worth:
            share = float(counts.sum() / labels.size)
            window = _around(block, side, self.one.shape)
            self.views[side] = _View(worth=worth, labelled=share, window=window)

    def _view(self) -> Window | None:
        wide, close = self.views[VIEW_PX], self.views[CLOSE_VIEW_PX]
        return close.window if wide.labelled < SPARSE else wide.window

    def finish(self) -> SceneSurvey:
        return SceneSurvey(
            id=self.one.scene.id,
            gsd_m=gsd_m(self.one.geobox),
            pixels=self.pixels,
            valid=self.valid,
            class_px=self.class_px,
            sizes_px=tuple(counter.finish() for counter in self.objects),
            runs=self.widths.runs,
            sample=np.concatenate(self.sample, axis=1),
            low=self.low,
            high=self.high,
            view=self._view(),
        )


def _around(block: Window, side: int, shape: tuple[int, int]) -> Window:
    """Return a square of a side around a block, held inside the scene."""
    height, width = min(side, shape[0]), min(side, shape[1])
    row = block.row_off + (block.height - height) // 2
    column = block.col_off + (block.width - width) // 2
    return Window(
        row_off=min(max(row, 0), shape[0] - height),
        col_off=min(max(column, 0), shape[1] - width),
        height=height,
        width=width,
    )
