"""Objects as the peaks of a map of scores, and whether they are where true ones are."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

type Floats = NDArray[np.floating]
type Ints = NDArray[np.int64]

SMOOTH_PX = 1.0
"""Standard deviation of the smoothing before peaks are sought, in the network's pixels."""

CUT_OFF = 4
"""Deviations beyond which smoothing looks no further."""


def smoothed(scores: Floats, deviation_px: float) -> Floats:
    """Return a map of scores smoothed by a normal curve, beyond which there is nothing.

    Shape:
        - scores: `(H, W)`; NaN where there is none
        - returns: the same, float32
    """
    known = ~np.isnan(scores)
    soft = ndimage.gaussian_filter(
        np.where(known, scores, 0).astype(np.float32),
        deviation_px,
        mode="constant",
        truncate=CUT_OFF,
    )
    return np.where(known, soft, np.float32(np.nan))


def peaks_in(scores: Floats, apart_px: float, least: float) -> Ints:
    """Return rows and columns `(N, 2)` of the pixels that no other one near is higher than.

    Args:
        scores: `(H, W)`; NaN where there is none.
        apart_px: how far near reaches.
        least: scores below it are no peaks.
    """
    reach = max(1, int(apart_px))
    rows, columns = np.indices((2 * reach + 1, 2 * reach + 1)) - reach
    near = np.hypot(rows, columns) <= max(apart_px, 1)
    known = np.where(np.isnan(scores), -np.inf, scores)
    highest = ndimage.maximum_filter(known, footprint=near, mode="constant", cval=-np.inf)
    return np.argwhere((known == highest) & (known >= least)).astype(np.int64)


def first_of_equals(at: Ints, apart_px: float) -> Ints:
    """Return peaks without those that are near to one before them in reading order.

    Two peaks that are near have one score, as the top of a flat hill has. All pairs are never in
    memory together: on a large flat hill, as undeclared nodata makes it, there are far too many.
    """
    at = at[np.lexsort((at[:, 1], at[:, 0]))]
    if len(at) < 2:
        return at
    reach, tree = max(apart_px, 1), cKDTree(at)
    lost = np.zeros(len(at), np.bool_)
    for one in np.flatnonzero(tree.query_ball_point(at, reach, return_length=True) > 1):
        if not lost[one]:
            near = np.array(tree.query_ball_point(at[one], reach))
            lost[near[near > one]] = True
    return at[~lost]


def find_peaks(scores: Floats, apart_px: float, least: float) -> tuple[Ints, Floats]:
    """Return the peaks of a whole map: rows and columns `(N, 2)`, and scores `(N,)`.

    Args:
        scores: `(H, W)`; NaN where there is none.
        apart_px: smallest distance of two peaks.
        least: scores below it are no peaks.
    """
    soft = smoothed(scores, SMOOTH_PX)
    at = first_of_equals(peaks_in(soft, apart_px, least), apart_px)
    return at, soft[at[:, 0], at[:, 1]]


def within_pixels(scores: Floats, at: Ints) -> Floats:
    """Return how far tops lie from the centres of their pixels, rows and columns `(N, 2)`.

    Along each axis the top of the parabola through a pixel and its neighbours; 0 where they are not
    known, or are no lower.

    Args:
        scores: `(H, W)`; NaN where there is none.
        at: rows and columns of the pixels.
    """
    wide = np.pad(scores, 1, constant_values=np.nan)
    rows, columns = (at + 1).T
    middle = wide[rows, columns]
    offsets = []
    for down, right in ((1, 0), (0, 1)):
        before, after = wide[rows - down, columns - right], wide[rows + down, columns + right]
        bend = before - 2 * middle + after
        with np.errstate(invalid="ignore", divide="ignore"):
            top = np.where(bend < 0, (before - after) / (2 * bend), 0)
        offsets.append(np.clip(np.nan_to_num(top), -0.5, 0.5))
    return np.stack(offsets, axis=1)


@dataclass(frozen=True, slots=True)
class Ranked:
    """Objects that were found, by falling score, and whether each is a true one.

    Args:
        scores: `(N,)`.
        right: `(N,)`.
        true: how many there are to be found.
    """

    scores: Floats
    right: NDArray[np.bool_]
    true: int

    def curve(self) -> tuple[Floats, Floats]:
        """Return precision and recall `(N,)` of the first 1, 2 and so on."""
        hits = np.cumsum(self.right)
        return hits / np.arange(1, len(hits) + 1), hits / max(self.true, 1)

    def best_f1(self) -> tuple[float, float]:
        """Return the largest F1, and the score from which on objects are taken for it.

        Objects of one score are taken together. Without objects it is 0, at a score of 1.
        """
        if not len(self.scores) or not self.true:
            return 0.0, 1.0
        hits, taken = np.cumsum(self.right), np.arange(1, len(self.right) + 1)
        f1 = 2 * hits / (taken + self.true)
        f1[:-1][self.scores[:-1] == self.scores[1:]] = -1
        best = int(np.argmax(f1))
        return float(f1[best]), float(self.scores[best])


def rank(scores: Floats, right: NDArray[np.bool_], true: int) -> Ranked:
    """Return objects by falling score; of equal ones, those that are wrong come first."""
    order = np.lexsort((right, -scores))
    return Ranked(scores[order], right[order], true)


def greedy_matches(found: Floats, scores: Floats, true: Floats, within: float) -> NDArray[np.bool_]:
    """Return which found objects are right: each takes the nearest true one that is left.

    The best score chooses first, so that what is right does not depend on a threshold.

    Args:
        found: places `(N, 2)`.
        scores: `(N,)`.
        true: places `(M, 2)`, in the same unit.
        within: how near is near enough.
    """
    right = np.zeros(len(found), np.bool_)
    if not len(true) or not len(found):
        return right
    taken = np.zeros(len(true), np.bool_)
    tree = cKDTree(true)
    for at in np.argsort(-scores, kind="stable"):
        near = np.array(tree.query_ball_point(found[at], within), np.int64)
        free = near[~taken[near]]
        if len(free):
            distances = np.linalg.norm(true[free] - found[at], axis=1)
            taken[free[np.argmin(distances)]] = True
            right[at] = True
    return right
