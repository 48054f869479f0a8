"""The pixels of one labelled scene: image, validity and class indexes of any window."""

import os
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from geohier.data.catalog import LabelledScene
from geohier.data.label_rules import LabelRules
from geohier.data.label_source import LabelSource, open_labels
from geohier.data.labels import IGNORE_INDEX, LabelTable, count_values
from geohier.data.middles import Middles, middles_of
from geohier.data.scene import open_scene
from geohier.geo.window import Window, intersection, row_strips
from geohier.raster.band_choice import BandChoice
from geohier.raster.groups import seen_by
from geohier.raster.moments import Moments, moments_of_all
from geohier.raster.sample import sample_pixels

MOST_OPEN = 16
"""Scenes whose files are open at once: decoding one with zstd reserves 128 MiB for as long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """Pixels of one window of a labelled scene.

    Shape:
        - values: `(C, H, W)`, in the file's data type and units; of a stack, date by date
        - seen: `(G, H, W)`, inside the scene and valid in all bands of a group, such as a date; one
          group where all bands are valid together
        - labels: `(H, W)` class indexes, IGNORE_INDEX where unlabelled, invalid or outside
    """

    values: NDArray[np.generic]
    seen: NDArray[np.bool_]
    labels: NDArray[np.uint8]

    @property
    def valid(self) -> NDArray[np.bool_]:
        """Return `(H, W)`: pixels that any group has seen."""
        valid: NDArray[np.bool_] = self.seen[0] if len(self.seen) == 1 else self.seen.any(axis=0)
        return valid


class LabelledPixels:
    """Reads windows of one labelled scene, from memory once it was kept there.

    Files are opened by the process that reads, so a data loader's workers may share the object.

    Args:
        scene: image and labels.
        choice: which bands of the image the model reads, in its order, and which are computed.
        table: turns label values into class indexes.
        rules: how the labels on disk are to be understood.

    Raises:
        LabelError: the labels cannot be laid over the image.
        ConfigError: the rules do not fit the labels.
    """

    def __init__(
        self,
        scene: LabelledScene,
        choice: BandChoice,
        table: LabelTable,
        rules: LabelRules,
    ) -> None:
        self.scene = scene
        self.choice = choice
        self.bands = choice.indexes
        self.groups = len(choice.groups) or 1
        self.table = table
        self.rules = rules
        self._kept: Cut | None = None
        self._label_values: Counter[float] | None = None
        self._middles: Middles | None = None
        self._opened: _Opened | None = None
        opened = self._open()
        self.geobox = opened.image.geobox
        self.dtype = opened.image.dtype
        self.image_files = opened.source.files
        """Files of the image; the first gives the grid."""
        self.declared = tuple(opened.source.bands[at] for at in self.bands)
        self.notes: tuple[str, ...] = (*opened.image.notes, *opened.labels.notes)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return int(self.geobox.shape[0]), int(self.geobox.shape[1])

    @property
    def nbytes(self) -> int:
        """Bytes that the scene takes when it is kept in memory."""
        return (
            self.shape[0]
            * self.shape[1]
            * (len(self.bands) * self.dtype.itemsize + self.groups + 1)
        )

    def keep(self) -> None:
        """Read the whole scene into memory, from where later windows come."""
        height, width = self.shape
        kept = Cut(
            values=np.empty((len(self.bands), height, width), self.dtype),
            seen=np.empty((self.groups, height, width), np.bool_),
            labels=np.empty((height, width), np.uint8),
        )
        for window in row_strips(*self.shape):
            strip, rows = self._cut(window), window.slices[0]
            kept.values[:, rows], kept.seen[:, rows] = strip.values, strip.seen
            kept.labels[rows] = strip.labels
        self._kept = kept
        self._opened = None

    def label_values(self) -> Counter[float]:
        """Count the label values of the whole scene, as they are on disk."""
        if self._label_values is None:
            labels, total = self._open().labels, Counter[float]()
            for strip in row_strips(*self.shape):
                total.update(count_values(labels.read(strip)))
            self._label_values = total
        return self._label_values

    def middles(self) -> Middles:
        """Return row, column and class index `(N, 3)` of the middle of each labelled object.

        They are continuous, in pixels from the top left corner of the scene.

        Raises:
            LabelError: the labels are a raster, which has no objects.
        """
        if self._middles is None:
            self._middles = middles_of(self._open().labels, self.table, self.scene.mask)
        return self._middles

    def moments(self) -> Moments | None:
        """Return mean and deviation of the image's bands, None where no pixel is valid.

        Those of a stack are of all its dates.
        """
        source = self._open().source
        return moments_of_all(one.reader(source) for one in self.choice.by_date())

    def sample(self) -> NDArray[np.generic]:
        """Return valid pixels of a few places, `(C, N)`."""
        source, dates = self._open().source, self.choice.by_date()
        samples = (sample_pixels(one.reader(source), len(one.indexes)) for one in dates)
        return np.concatenate([sample.valid_pixels for sample in samples], axis=1)

    def pixels_of(self, cut: Cut, where: NDArray[np.bool_] | None = None) -> NDArray[np.generic]:
        """Return the valid pixels of a cut, `(C, N)`; of a stack, of one date after the other.

        Args:
            cut: of this scene.
            where: `(H, W)`, pixels that are asked for; all where None.
        """
        dates = len(self.choice.by_date())
        seen = cut.seen if where is None else cut.seen & where
        if dates == 1:
            return cut.values[:, seen.all(axis=0)]
        parts = zip(np.split(cut.values, dates), seen, strict=True)
        return np.concatenate([values[:, mask] for values, mask in parts], axis=1)

    def has_labels(self, window: Window) -> bool:
        """Return whether any pixel of a window inside the scene is valid and labelled."""
        return bool((self._cut(window).labels != IGNORE_INDEX).any())

    def read(self, window: Window) -> Cut:
        """Return a window, which may overhang the scene: what lies outside is invalid.

        Raises:
            RasterReadError: a block of the window cannot be decoded.
        """
        height, width = self.shape
        inner = intersection(window, Window(row_off=0, col_off=0, height=height, width=width))
        if inner == window:
            return self._cut(window)
        size = (window.height, window.width)
        whole = Cut(
            values=np.zeros((len(self.bands), *size), self.dtype),
            seen=np.zeros((self.groups, *size), np.bool_),
            labels=np.full(size, IGNORE_INDEX, np.uint8),
        )
        if inner is not None:
            cut = self._cut(inner)
            rows, cols = inner.shifted(rows=-window.row_off, cols=-window.col_off).slices
            whole.values[:, rows, cols], whole.seen[:, rows, cols] = cut.values, cut.seen
            whole.labels[rows, cols] = cut.labels
        return whole

    def _cut(self, window: Window) -> Cut:
        if self._kept is not None:
            rows, cols = window.slices
            return Cut(
                values=self._kept.values[:, rows, cols],
                seen=self._kept.seen[:, rows, cols],
                labels=self._kept.labels[rows, cols],
            )
        opened = self._open()
        pixels = opened.image.read(window)
        groups = self.choice.groups
        seen = seen_by(groups, pixels) if groups else pixels.valid.all(axis=0, keepdims=True)
        labels = self.table.indexes(opened.labels.read(window))
        usable = seen.any(axis=0)
        if self.scene.windows:
            usable = usable & inside(window, self.scene.windows)
        return Cut(values=pixels.values, seen=seen, labels=np.where(usable, labels, IGNORE_INDEX))

    def _open(self) -> "_Opened":
        if self._opened is None or self._opened.process != os.getpid():
            self._opened = _Opened(self.scene, self.choice, self.open_labels)
        _close_others(self)
        return self._opened

    def open_labels(self, grid: GeoBox) -> AbstractContextManager[LabelSource]:
        """Open the labels over the grid of the image."""
        return open_labels(self.scene.mask, grid, self.rules)

    def close(self) -> None:
        """Close the files; they open again when they are next needed."""
        self._opened = None

    def __getstate__(self) -> dict[str, object]:
        """Leave out what another process must read or open by itself."""
        return {**self.__dict__, "_kept": None, "_opened": None}


_with_open_files: "WeakValueDictionary[int, LabelledPixels]" = WeakValueDictionary()


def _close_others(scene: LabelledPixels) -> None:
    """Close the files of the scene that was not used for longest, where too many are open."""
    _with_open_files.pop(id(scene), None)
    _with_open_files[id(scene)] = scene
    if len(_with_open_files) > MOST_OPEN:
        _with_open_files.pop(next(iter(_with_open_files.keys()))).close()


class _Opened:
    """Open files, which belong to the process that opened them."""

    def __init__(
        self,
        scene: LabelledScene,
        choice: BandChoice,
        labels_over: Callable[[GeoBox], AbstractContextManager[LabelSource]],
    ) -> None:
        self.process = os.getpid()
        with ExitStack() as stack:
            files = stack.enter_context(open_scene(scene.raster(), allow_ungeoreferenced=True))
            self.source = choice.of(files)
            self.image = choice.reader(self.source)
            self.labels = stack.enter_context(labels_over(self.source.geobox))
            self._files = stack.pop_all()

    def __del__(self) -> None:
        if self.process == os.getpid() and hasattr(self, "_files"):
            self._files.close()


def inside(window: Window, parts: Iterable[Window]) -> NDArray[np.bool_]:
    """Return `(H, W)`: which pixels of a window lie in any of the parts."""
    found = np.zeros((window.height, window.width), np.bool_)
    for part in parts:
        shared = intersection(window, part)
        if shared is not None:
            found[shared.shifted(rows=-window.row_off, cols=-window.col_off).slices] = True
    return found
