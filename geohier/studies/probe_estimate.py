"""What a probe is worth, judged on places that it has not seen.

Pixels of one place are alike: to fit on some and judge on others would flatter. So whole places are
left out, in turns (cross-validation by groups), and each counts once, however many pixels it has.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from geohier.studies.probe_fit import Examples, HeadOptions, fit_head

MOST_FOLDS = 10
NORMAL_95 = 1.959964
"""Deviations of a normal distribution that hold 95 % of it, to both sides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """How places that were left out were told.

    Args:
        confusion: of the places of each class (rows), how many went to which; a place whose pixels
            differ counts in parts. Classes with one place cannot be left out: their rows are 0.
        folds: how many times some were left out.

    Shape:
        - confusion: `(K, K)`
    """

    confusion: NDArray[np.float64]
    folds: int

    @property
    def n(self) -> int:
        """Places that were judged."""
        return round(float(self.confusion.sum()))

    @property
    def accuracy(self) -> float:
        """Share of the places that were told rightly; NaN without any."""
        return float(np.trace(self.confusion) / self.n) if self.n else float("nan")

    @property
    def recall(self) -> NDArray[np.float64]:
        """Share of the places of each class that were told, `(K,)`; NaN where none was judged."""
        return _shares(self.confusion.diagonal(), self.confusion.sum(axis=1))

    @property
    def precision(self) -> NDArray[np.float64]:
        """Share of what was given to each class that is of it, `(K,)`; NaN where nothing was."""
        return _shares(self.confusion.diagonal(), self.confusion.sum(axis=0))

    @property
    def range_95(self) -> tuple[float, float]:
        """Range of the accuracy at `n` places that are drawn anew (Wilson 1927); NaN without any.

        Places that lie close together are alike too: then the range is too narrow.
        """
        if not self.n:
            return float("nan"), float("nan")
        n, p, z = self.n, self.accuracy, NORMAL_95
        middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
        reach = z / (1 + z**2 / n) * (p * (1 - p) / n + z**2 / (4 * n**2)) ** 0.5
        return max(0.0, middle - reach), min(1.0, middle + reach)


def leave_out(examples: Examples, options: HeadOptions) -> Estimate:
    """Fit on all places but some, judge those, and so on until each was left out once.

    A class keeps at least one of its places in each fit.
    """
    confusion = np.zeros((examples.count, examples.count))
    folds = list(_folds(examples))
    for left_out in folds:
        here = np.isin(examples.places, left_out)
        head = fit_head(examples.at(~here), options)
        judged = examples.at(here)
        found = _classes(head, judged.features)
        _, of, pixels = np.unique(judged.places, return_inverse=True, return_counts=True)
        np.add.at(confusion, (judged.classes, found), 1 / pixels[of])
    return Estimate(confusion=confusion, folds=len(folds))


def _folds(examples: Examples) -> Iterator[NDArray[np.int64]]:
    """Yield the places to leave out together; those of each class are dealt out evenly."""
    places, classes = examples.place_classes
    per_class = np.bincount(classes, minlength=examples.count)
    folds = min(MOST_FOLDS, int(per_class.max()))
    turn = np.full(len(places), -1)
    for one in np.flatnonzero(per_class > 1):
        own = np.random.default_rng(one).permutation(np.flatnonzero(classes == one))
        turn[own] = np.arange(len(own)) % folds
    yield from (places[turn == fold] for fold in range(folds) if (turn == fold).any())


def _classes(head: torch.nn.Module, features: NDArray[np.float32]) -> NDArray[np.int64]:
    pixels = torch.from_numpy(features).T[None, :, :, None]  # (1, C, N, 1)
    with torch.inference_mode():
        return np.asarray(head(pixels)[0, :, :, 0].argmax(0).numpy())


def _shares(parts: NDArray[np.float64], wholes: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore"):
        return np.asarray(parts / wholes)
