"""How large objects are: connected pixels of one class, counted strip by strip."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from geohier.data.label_objects import TOUCHING


class ObjectCounter:
    """Counts the objects of one class in a scene that is handed over from its top.

    What reaches the last row of a strip may go on in the next one, so it stays open until then;
    the memory grows with the width of the scene and the number of different sizes.

    Example:
        >>> counter = ObjectCounter()
        >>> counter.add(np.array([[True, False, True]]))
        >>> counter.add(np.array([[True, False, False]]))
        >>> sorted(counter.finish().items())
        [(1, 1), (2, 1)]
    """

    def __init__(self) -> None:
        self._finished: Counter[int] = Counter()
        self._sizes = np.zeros(0, np.int64)
        self._last = np.zeros(0, np.int64)

    def add(self, mask: NDArray[np.bool_]) -> None:
        """Take the next strip `(H, W)`, true where the class is."""
        if not self._sizes.size and not mask.any():
            return
        numbers, count = ndimage.label(mask, TOUCHING)
        sizes = np.concatenate([self._sizes, np.bincount(numbers.ravel(), minlength=count + 1)[1:]])
        opened = len(self._sizes)
        merged = self._merged(numbers[0], opened, len(sizes))
        total = np.bincount(merged, sizes).astype(np.int64)
        last = np.where(numbers[-1] > 0, merged[numbers[-1] + opened - 1], -1)
        going_on = np.unique(last[last >= 0])
        self._finished.update(np.delete(total, going_on).tolist())
        self._sizes = total[going_on]
        self._last = np.where(last >= 0, np.searchsorted(going_on, last), -1)

    def finish(self) -> Counter[int]:
        """Return how many objects there are of each size in pixels."""
        self._finished.update(self._sizes.tolist())
        self._sizes = np.zeros(0, np.int64)
        return self._finished

    def _merged(self, first: NDArray[np.int32], opened: int, count: int) -> NDArray[np.int32]:
        """Return the object that each open or new piece belongs to, counted from 0."""
        if not opened:
            return np.arange(count, dtype=np.int32)
        above, below = self._last, np.where(first > 0, first + opened - 1, -1)
        pairs = [(above, below), (above[1:], below[:-1]), (above[:-1], below[1:])]
        one, other = (np.concatenate(side) for side in zip(*pairs, strict=True))
        linked = (one >= 0) & (other >= 0)
        links = (np.ones(linked.sum(), np.int8), (one[linked], other[linked]))
        merged: NDArray[np.int32]
        _, merged = connected_components(coo_array(links, shape=(count, count)), directed=False)
        return merged


class WidthCounter:
    """Measures how wide the areas of each class are: the mean length of their runs of pixels.

    A river and a lake of the same area have one equivalent diameter, but not one width. Runs are
    counted along rows and along columns.
    """

    def __init__(self, classes: int) -> None:
        self.runs = np.zeros(classes, np.int64)
        self._above: NDArray[np.uint8] | None = None

    def add(self, labels: NDArray[np.uint8]) -> None:
        """Take the class indexes `(H, W)` of the next strip from the top."""
        above = np.full_like(labels[:1], len(self.runs)) if self._above is None else self._above
        left = np.full_like(labels[:, :1], len(self.runs))
        starts = (
            labels[labels != np.concatenate([above, labels[:-1]])],
            labels[labels != np.concatenate([left, labels[:, :-1]], axis=1)],
        )
        for classes in starts:
            self.runs += np.bincount(classes, minlength=len(self.runs))[: len(self.runs)]
        self._above = labels[-1:].copy()


@dataclass(frozen=True, slots=True)
class SizeTable:
    """Objects by their equivalent diameter: that of a disc of the same area.

    Shape:
        - diameters: `(N,)`, rising
        - counts: `(N,)`, objects of each
        - width: mean length of the runs of pixels of the class
    """

    diameters: NDArray[np.float64]
    counts: NDArray[np.int64]
    width: float

    @classmethod
    def of(cls, areas: Counter[float], width: float) -> "SizeTable":
        """Return the table of objects of given areas, and of the class's mean width."""
        known = np.array(sorted(areas), np.float64)
        counts = np.array([areas[one] for one in sorted(areas)], np.int64)
        return cls(np.sqrt(4 / np.pi * known), counts, width)

    @property
    def count(self) -> int:
        """Number of objects."""
        return int(self.counts.sum())

    def percentiles(self, *shares: float) -> tuple[float, ...]:
        """Return the diameters below which these percent of the objects are."""
        return _weighted(self.diameters, self.counts, shares)

    def area_percentiles(self, *shares: float) -> tuple[float, ...]:
        """Return the diameters below which these percent of the objects' whole area are."""
        return _weighted(self.diameters, self.counts * self.diameters**2, shares)

    def area_shares(self, edges: tuple[float, ...]) -> tuple[float, ...]:
        """Return the share of the whole area in objects between neighbouring edges."""
        found, _ = np.histogram(self.diameters, edges, weights=self.counts * self.diameters**2)
        return tuple((found / max(found.sum(), 1)).tolist())


def _weighted(
    values: NDArray[np.float64], weights: NDArray[np.generic], shares: tuple[float, ...]
) -> tuple[float, ...]:
    ends = np.cumsum(weights)
    at = np.searchsorted(ends, np.array(shares) / 100 * ends[-1]).clip(max=len(values) - 1)
    return tuple(values[at].tolist())
