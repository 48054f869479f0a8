"""Scores of class maps, all of them computed from confusion matrices.

Confusion matrices add up: over windows of a raster, over blocks, over scenes. So every score here
is exact however the pixels were read, and pooled means "of all pixels together".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Self

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from geohier.errors import LabelError

IGNORE = 255
"""Label value that means "not labelled", and value of a class raster that means "not predicted"."""

PER_CLASS = ("iou", "f1", "precision", "recall")
"""Scores that each class has; `macro_` before the name is their mean over the classes present."""


@dataclass(frozen=True, slots=True, eq=False)
class ConfusionMatrix:
    """How many pixels of each true class were given each class.

    Matrices add with `+`, so a raster is scored window by window in the memory of one matrix.

    Shape:
        - counts: `(K, K)` int64, rows are the truth, columns the prediction
        - unpredicted: `(K,)` int64, labelled pixels that the prediction leaves as nodata

    Example:
        >>> matrix = ConfusionMatrix.of(np.array([0, 1, 255]), np.array([0, 0, 1]), classes=2)
        >>> matrix.counts.tolist(), matrix.unpredicted.tolist()
        ([[1, 1], [0, 0]], [0, 1])
    """

    counts: NDArray[np.int64]
    unpredicted: NDArray[np.int64]

    @classmethod
    def empty(cls, classes: int) -> Self:
        """Return the matrix of no pixels."""
        return cls(np.zeros((classes, classes), np.int64), np.zeros(classes, np.int64))

    @classmethod
    def of(
        cls,
        prediction: NDArray[np.integer],
        truth: NDArray[np.integer],
        *,
        classes: int,
        ignore: int = IGNORE,
        nodata: int = IGNORE,
    ) -> Self:
        """Count the pixels of two arrays of one shape.

        Args:
            prediction: class of each pixel, `nodata` where there is none.
            truth: true class of each pixel, `ignore` where it is not known.
            classes: number of classes.
            ignore: value of `truth` that is not counted.
            nodata: value of `prediction` that counts as not predicted.

        Raises:
            LabelError: a class is not among `classes`, or the shapes differ.
        """
        if prediction.shape != truth.shape:
            raise LabelError(
                f"a prediction of {prediction.shape} px does not lie on labels of {truth.shape} px"
            )
        labelled = truth != ignore
        # One column more than there are classes collects what was not predicted.
        found = np.where(prediction == nodata, classes, prediction)[labelled].astype(np.int64)
        true = truth[labelled].astype(np.int64)
        _check_ids("the labels have", true, classes - 1)
        _check_ids("the prediction has", found[found != classes], classes - 1)
        cells = np.bincount(true * (classes + 1) + found, minlength=classes * (classes + 1))
        table = cells.reshape(classes, classes + 1)
        return cls(table[:, :classes].copy(), table[:, classes].copy())

    def __add__(self, other: Self) -> Self:
        return type(self)(self.counts + other.counts, self.unpredicted + other.unpredicted)

    def grouped(self, group_of: Sequence[int]) -> Self:
        """Return the matrix of groups of classes: `group_of[k]` is the group of class `k`."""
        into = _membership(group_of)
        return type(self)(grouped_counts(self.counts, group_of), into.T @ self.unpredicted)

    @property
    def labelled(self) -> int:
        """Number of labelled pixels, predicted or not."""
        return int(self.counts.sum() + self.unpredicted.sum())


def grouped_counts(counts: NDArray[np.int64], group_of: Sequence[int]) -> NDArray[np.int64]:
    """Return the confusion counts `(..., G, G)` of groups of classes, from counts `(..., K, K)`.

    Example:
        >>> grouped_counts(np.array([[5, 1, 0], [0, 2, 2], [3, 0, 4]]), [0, 1, 1]).tolist()
        [[5, 1], [3, 8]]
    """
    into = _membership(group_of)
    return np.asarray(into.T @ counts @ into)


def _membership(group_of: Sequence[int]) -> NDArray[np.int64]:
    """Return which class is in which group, `(K, G)`."""
    return np.eye(max(group_of) + 1, dtype=np.int64)[list(group_of)]


def pool(matrices: Sequence[ConfusionMatrix]) -> ConfusionMatrix:
    """Return the matrix of all pixels together; there must be one matrix or more."""
    return reduce(add, matrices)


def class_scores(counts: NDArray[np.number]) -> dict[str, NDArray[np.float64]]:
    """Compute the scores of each class from confusion counts.

    A class that the truth does not hold has no score: NaN. A class that is there but was never
    predicted has precision 0, as in torchmetrics and scikit-learn.

    Shape:
        - counts: `(..., K, K)`
        - every score: `(..., K)`
    """
    hits = np.diagonal(counts, axis1=-2, axis2=-1).astype(np.float64)
    true, found = counts.sum(axis=-1), counts.sum(axis=-2)
    present = true > 0
    return {
        "iou": _ratio(hits, true + found - hits, present),
        "f1": _ratio(2 * hits, true + found, present),
        "precision": _ratio(hits, np.maximum(found, 1), present),
        "recall": _ratio(hits, true, present),
    }


def macro(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean over the last axis, of the classes that have a score; NaN if none has."""
    scored = ~np.isnan(scores)
    return _ratio(np.nansum(scores, axis=-1), scored.sum(axis=-1), scored.any(axis=-1))


def accuracy(counts: NDArray[np.number]) -> NDArray[np.float64]:
    """Return the share of pixels that are right, from counts `(..., K, K)`; NaN without pixels."""
    total = counts.sum(axis=(-2, -1))
    return _ratio(np.trace(counts, axis1=-2, axis2=-1).astype(np.float64), total, total > 0)


def scores(matrices: Mapping[str, ConfusionMatrix], classes: Sequence[str]) -> xr.Dataset:
    """Score scenes one by one and together.

    Args:
        matrices: confusion matrix of each scene, by name; one or more.
        classes: names of the classes, in the order of the matrices.

    Returns:
        A Dataset with `iou`, `f1`, `precision`, `recall` and the pixel counts `support` and
        `unpredicted` over (scene, class); `accuracy` and the means `macro_iou`, `macro_f1`,
        `macro_precision`, `macro_recall` over (scene); each again as `pooled_...` over the pixels
        of all scenes; and `confusion` over (scene, true, predicted). A class that the labels of a
        scene do not hold is NaN there and left out of its means. Pixels that were not predicted
        are in no score but `unpredicted`.
    """
    counts = np.stack([matrix.counts for matrix in matrices.values()])
    unpredicted = np.stack([matrix.unpredicted for matrix in matrices.values()])
    pooled = _variables(counts.sum(axis=0), unpredicted.sum(axis=0), scene=())
    named = list(classes)
    return xr.Dataset(
        {
            **_variables(counts, unpredicted, scene=("scene",)),
            **{f"pooled_{name}": variable for name, variable in pooled.items()},
        },
        coords={"scene": list(matrices), "class": named, "true": named, "predicted": named},
    )


type _Variable = tuple[tuple[str, ...], NDArray[np.number]]


def _variables(
    counts: NDArray[np.int64], unpredicted: NDArray[np.int64], *, scene: tuple[str, ...]
) -> dict[str, _Variable]:
    """Name the scores of counts `(K, K)`, or `(scene, K, K)`, and their dimensions."""
    by_class = class_scores(counts)
    return {
        **{name: ((*scene, "class"), values) for name, values in by_class.items()},
        **{f"macro_{name}": (scene, macro(values)) for name, values in by_class.items()},
        "accuracy": (scene, accuracy(counts)),
        "support": ((*scene, "class"), counts.sum(axis=-1)),
        "unpredicted": ((*scene, "class"), unpredicted),
        "confusion": ((*scene, "true", "predicted"), counts),
    }


def _ratio(
    above: NDArray[np.float64], below: NDArray[np.number], defined: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Divide where the ratio is defined; NaN elsewhere."""
    unknown = np.full(np.shape(above), np.nan)
    return np.asarray(np.divide(above, below, out=unknown, where=defined))


def _check_ids(who: str, ids: NDArray[np.int64], highest: int) -> None:
    """Refuse ids that are no class."""
    strange = ids[(ids < 0) | (ids > highest)]
    if strange.size:
        raise LabelError(
            f"{who} class {strange[0]} on {np.count_nonzero(strange == strange[0])} px, but the "
            f"classes are 0 to {highest}: name the classes with their label values, or the value "
            "to ignore"
        )
