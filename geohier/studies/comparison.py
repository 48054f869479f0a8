"""One prediction against its labels: confusion counts, block by block."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import batched
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geohier.data.labelled import inside
from geohier.errors import LabelError
from geohier.evaluation.bootstrap import BLOCK_PX
from geohier.evaluation.segmentation import ConfusionMatrix, grouped_counts
from geohier.geo.window import Window
from geohier.raster.files import shown
from geohier.studies.class_raster import ClassRaster
from geohier.studies.legend import UNLABELLED
from geohier.studies.truth import Truth

LARGEST_COUNTS = 2**27
"""Numbers that the counts of all blocks may hold together: 1 GiB."""

SWATH_PX = 16_384
"""Columns that are read at once: bounds the memory on wide rasters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """How a prediction agrees with its labels.

    Args:
        matrix: confusion of the whole scene.
        blocks: confusion counts of each block that holds labels, `(N, K, K)`, row by row.
        notes: what a user should know about how the two were compared.
    """

    matrix: ConfusionMatrix
    blocks: NDArray[np.int64]
    notes: tuple[str, ...] = ()

    def grouped(self, group_of: Sequence[int]) -> "Comparison":
        """Return how the groups of classes agree: `group_of[k]` is the group of class `k`."""
        blocks = grouped_counts(self.blocks, group_of)
        return Comparison(matrix=self.matrix.grouped(group_of), blocks=blocks)


def compare(
    prediction: ClassRaster, truth: Truth, classes: int, *, within: Sequence[Window] = ()
) -> Comparison:
    """Count what a prediction says against what is true, in blocks of 512 px.

    The memory does not grow with the raster's height, but for the counts of its blocks.

    Args:
        prediction: the class raster.
        truth: labels on its grid.
        classes: number of classes.
        within: parts of the raster that count; all of it if empty.

    Raises:
        LabelError: no labelled pixel lies on the prediction, or a number is no class.
    """
    total, blocks, room = ConfusionMatrix.empty(classes), [], LARGEST_COUNTS // classes**2
    for matrix in _blocks(prediction, truth, classes, within):
        total += matrix
        if matrix.labelled:
            blocks.append(matrix.counts)
        if len(blocks) > room:  # neighbours become one block: fewer, larger blocks are still fair
            blocks = [sum(two[1:], two[0]) for two in batched(blocks, 2)]
    if not total.labelled:
        raise LabelError(
            f"no labelled pixel lies on {shown(prediction.path)}: check the place and CRS of the "
            "labels, and the value to ignore"
        )
    return Comparison(matrix=total, blocks=np.stack(blocks), notes=(*truth.notes, *_remarks(total)))


def _blocks(
    prediction: ClassRaster, truth: Truth, classes: int, within: Sequence[Window]
) -> Iterator[ConfusionMatrix]:
    for window in windows(prediction.grid.height, prediction.grid.width):
        found, true = prediction.read(window), truth.read(window)
        if within:
            true = np.where(inside(window, within), true, np.int32(UNLABELLED))
        for left in range(0, window.width, BLOCK_PX):
            columns = slice(left, left + BLOCK_PX)
            yield _count(prediction.path, found[:, columns], true[:, columns], classes)


def _count(
    path: Path, found: NDArray[np.int32], true: NDArray[np.int32], classes: int
) -> ConfusionMatrix:
    try:
        return ConfusionMatrix.of(
            found, true, classes=classes, ignore=UNLABELLED, nodata=UNLABELLED
        )
    except LabelError as error:
        raise LabelError(f"{shown(path)}: {error}") from error


def windows(height: int, width: int) -> Iterator[Window]:
    """Yield windows of one row of blocks, and at most `SWATH_PX` wide, over a raster."""
    for top in range(0, height, BLOCK_PX):
        for left in range(0, width, SWATH_PX):
            yield Window(row_off=top, col_off=left, height=BLOCK_PX, width=SWATH_PX).clipped(
                height=height, width=width
            )


def _remarks(matrix: ConfusionMatrix) -> Iterator[str]:
    """Say what makes a score worth less than it looks."""
    missed = int(matrix.unpredicted.sum())
    if missed:
        share = missed / matrix.labelled
        yield f"{missed} labelled px ({share:.1%}) are not predicted and in no score"
    present = np.flatnonzero(matrix.counts.sum(axis=1) + matrix.unpredicted)
    if len(present) == 1:
        yield (
            "only one class is labelled: if the value to ignore is a class too (masks of 0 and "
            "255), say so with --classes name=0,name=255"
        )
