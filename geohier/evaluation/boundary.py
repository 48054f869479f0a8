"""How well outlines are met: boundary precision, recall and F, within some pixels."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

type Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class BoundaryCounts:
    """Pixels on the outlines of one class, and those that have one of the other side near.

    Counts of several images are added.

    Args:
        found: pixels on outlines that were found.
        found_right: those with a true one near.
        true: pixels on true outlines.
        true_found: those with a found one near.
    """

    found: int = 0
    found_right: int = 0
    true: int = 0
    true_found: int = 0

    def __add__(self, other: "BoundaryCounts") -> "BoundaryCounts":
        return BoundaryCounts(
            self.found + other.found,
            self.found_right + other.found_right,
            self.true + other.true,
            self.true_found + other.true_found,
        )

    @property
    def precision(self) -> float:
        """Share of the found outlines that are right; NaN where none was found."""
        return self.found_right / self.found if self.found else np.nan

    @property
    def recall(self) -> float:
        """Share of the true outlines that were found; NaN where there is none."""
        return self.true_found / self.true if self.true else np.nan

    @property
    def f1(self) -> float:
        """Harmonic mean of both; 0 where one of them is 0 or nothing was found."""
        if not self.true:
            return np.nan
        right = self.precision + self.recall
        return 2 * self.precision * self.recall / right if right > 0 else 0.0


def boundary_counts(
    found: Bools, truth: Bools, labelled: Bools, within_px: float
) -> BoundaryCounts:
    """Count how well the outlines of a class are met.

    An outline is what of a class touches pixels that are not of it, by an edge. Where it touches
    ground without labels, or the border of the image, nothing is known of it, and it does not
    count. Csurka et al. 2013, What is a good evaluation measure for semantic segmentation?, BMVC.

    Args:
        found: where the class was found.
        truth: where it is.
        labelled: where that is known.
        within_px: how near is near, centre to centre.

    Shape:
        - found, truth, labelled: `(H, W)`

    Example:
        >>> truth = np.indices((9, 9))[1] >= 5
        >>> found = np.indices((9, 9))[1] >= 6
        >>> boundary_counts(found, truth, np.ones_like(truth), 1).f1
        1.0
    """
    ours, theirs = outline(found, labelled), outline(truth, labelled)
    return BoundaryCounts(
        int(ours.sum()),
        int((ours & _near(theirs, within_px)).sum()),
        int(theirs.sum()),
        int((theirs & _near(ours, within_px)).sum()),
    )


def outline(of_class: Bools, labelled: Bools) -> Bools:
    """Return the labelled pixels of a class that share an edge with a labelled one not of it."""
    other = ~of_class & labelled
    beside = np.zeros_like(of_class)
    beside[1:] |= other[:-1]
    beside[:-1] |= other[1:]
    beside[:, 1:] |= other[:, :-1]
    beside[:, :-1] |= other[:, 1:]
    return of_class & labelled & beside


def _near(outline: Bools, within_px: float) -> Bools:
    if not outline.any():
        return np.zeros_like(outline)
    near: Bools = ndimage.distance_transform_edt(~outline) <= within_px
    return near
