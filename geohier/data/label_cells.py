"""How many pixels of each class each cell of the fit area holds, to draw labelled pixels from.

A cell is drawn by its count, then a pixel of the class in the cell: each labelled pixel comes up
equally often, and what is kept does not grow with the scenes.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from geohier.data.fit_labels import WINDOW_PX, FitLabels
from geohier.data.labels import IGNORE_INDEX
from geohier.data.sampling import SceneWeights, index_at, scene_factors
from geohier.geo.window import Window

SMALLEST_PX = 64
"""Side of a cell, as long as there are not too many: little has to be read to draw a pixel."""

MOST_COUNTS = 4_000_000
"""Counts that are kept, 32 MB: where there were more, cells are larger."""


class LabelCells:
    """Cells of the fit area, counted once.

    Args:
        labels: labels of the fit area.
        classes: number of classes.
        weights: how often a scene is drawn from.
        most: counts that may be kept.
    """

    def __init__(
        self,
        labels: FitLabels,
        classes: int,
        weights: SceneWeights = "area",
        most: int = MOST_COUNTS,
    ) -> None:
        self.labels = labels
        self.classes = classes
        self.side = cell_side(labels, most // classes)
        found = [self._count(at) for at in range(len(labels.fields))]
        self.cells = np.concatenate([cells for cells, _ in found])  # (N, 3): scene, row, column
        self.counts = np.concatenate([counts for _, counts in found])  # (N, K)
        self._ends = np.cumsum(self._weights(self.counts, weights), axis=0)  # (N, K)

    @property
    def shares(self) -> NDArray[np.float64]:
        """How often each class comes up `(K,)` where every labelled pixel is drawn alike."""
        if not len(self._ends):
            return np.zeros(self.classes)
        return np.asarray(self._ends[-1] / self._ends[-1].sum())

    def point(self, rng: np.random.Generator, index: int) -> tuple[int, int, int]:
        """Draw a pixel of a class: its scene, row and column."""
        scene, row, col = self.cells[index_at(self._ends[:, index], rng.random())].tolist()
        window = self._window(scene, row, col)
        inside = np.flatnonzero(self.labels.read(scene, window) == index)
        row, col = divmod(int(inside[rng.integers(len(inside))]), window.width)
        return scene, window.row_off + row, window.col_off + col

    def _window(self, scene: int, row: int, col: int) -> Window:
        field = self.labels.fields[scene]
        whole = Window(
            row_off=row * self.side, col_off=col * self.side, height=self.side, width=self.side
        )
        return whole.clipped(height=field.height, width=field.width)

    def _count(self, scene: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Return the cells of a scene that hold labels, and the counts of each."""
        cells, counts = [np.empty((0, 3), np.int32)], [np.empty((0, self.classes), np.int32)]
        for window, used in self.labels.windows(scene, max(self.side, WINDOW_PX)):
            if used:
                per_cell = self._count_window(self.labels.read(scene, window))
                rows, cols = np.nonzero(per_cell.any(axis=2))
                corner = window.row_off // self.side, window.col_off // self.side
                places = (np.full_like(rows, scene), rows + corner[0], cols + corner[1])
                cells.append(np.stack(places, axis=1).astype(np.int32))
                counts.append(per_cell[rows, cols].astype(np.int32))
        return np.concatenate(cells), np.concatenate(counts)

    def _count_window(self, labels: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Return the counts `(R, C, K)` of the cells of a window that starts at a cell's corner."""
        rows, cols = (math.ceil(length / self.side) for length in labels.shape)
        at_row, at_col = np.nonzero(labels != IGNORE_INDEX)
        cell = (at_row // self.side) * cols + at_col // self.side
        index = cell * self.classes + labels[at_row, at_col]
        counts = np.bincount(index, minlength=rows * cols * self.classes)
        return counts.reshape(rows, cols, self.classes)

    def _weights(self, counts: NDArray[np.int32], weights: SceneWeights) -> NDArray[np.float64]:
        """Return the counts in chip pixels, times what evens the scenes out."""
        fields = self.labels.fields
        area = np.array([math.prod(field.step) for field in fields])
        per_class = np.zeros((len(fields), self.classes))
        np.add.at(per_class, self.cells[:, 0], counts)
        per_class /= area[:, None]
        factor = scene_factors(per_class, weights) / area[:, None]
        return np.asarray(counts * factor[self.cells[:, 0]])


def cell_side(labels: FitLabels, most: int) -> int:
    """Return the side of a cell in pixels: the smallest with which there are few enough cells.

    Each scene has one at least.
    """
    side, most = SMALLEST_PX, max(most, len(labels.fields))
    while _cells(labels, side) > most:
        side *= 2
    return side


def _cells(labels: FitLabels, side: int) -> int:
    sizes = ((field.height, field.width) for field in labels.fields)
    return sum(math.ceil(height / side) * math.ceil(width / side) for height, width in sizes)


def drawing_rates(shares: Sequence[float] | NDArray[np.float64], cap: float) -> NDArray[np.float64]:
    """Return how often each class is drawn: all the same, but none over `cap` times its share.

    What the rare ones may not take is left to the others; a class that is not there is not drawn.

    Example:
        >>> drawing_rates([0.9, 0.09, 0.01], cap=10).round(3).tolist()
        [0.45, 0.45, 0.1]
    """
    most = cap * np.asarray(shares, np.float64)
    rates, left = np.zeros_like(most), 1.0
    order = np.argsort(most, kind="stable")
    for turn, at in enumerate(order):
        rates[at] = min(most[at], left / (len(order) - turn))
        left -= rates[at]
    return rates
