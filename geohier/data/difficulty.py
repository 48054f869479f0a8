"""How hard the chip at a place is, told before it is cut."""

import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from geohier.data.label_cells import LabelCells
from geohier.data.sampling import Field, Place


class Difficulty(Protocol):
    """Tells how hard the chip at a place is; only the order of the numbers matters."""

    def of(self, place: Place) -> float:
        """Return the difficulty of a place; NaN where nothing could be learnt."""


class ClassEntropy:
    """Entropy of the classes in a chip, from counts by cell: many classes are hard, one is easy.

    Args:
        cells: how many pixels of each class each cell of the fit area holds.
        fields: the fit area of each scene.
    """

    def __init__(self, cells: LabelCells, fields: Sequence[Field]) -> None:
        self.side = cells.side
        self.sums = [self._summed(cells, at, field) for at, field in enumerate(fields)]

    def of(self, place: Place) -> float:
        """Return the entropy in nats over the cells that the chip touches, NaN without labels."""
        sums, window = self.sums[place.scene], place.window
        top, left = max(0, window.row_off // self.side), max(0, window.col_off // self.side)
        bottom = min(len(sums) - 1, -(-window.row_stop // self.side))
        right = min(sums.shape[1] - 1, -(-window.col_stop // self.side))
        counts = sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left]
        if not counts.any():
            return math.nan
        shares = counts[counts > 0] / counts.sum()
        return float(-(shares * np.log(shares)).sum())

    def _summed(self, cells: LabelCells, scene: int, field: Field) -> NDArray[np.int64]:
        """Return the counts above and left of each corner, `(R + 1, C + 1, K)`."""
        rows, cols = (math.ceil(length / self.side) for length in (field.height, field.width))
        counts = np.zeros((rows + 1, cols + 1, cells.classes), np.int64)
        own = cells.cells[:, 0] == scene
        counts[cells.cells[own, 1] + 1, cells.cells[own, 2] + 1] = cells.counts[own]
        return counts.cumsum(axis=0).cumsum(axis=1)


class PixelSize:
    """Fineness of a chip's pixels: the smaller the ground it shows, the harder.

    Args:
        fields: the fit area of each scene.
    """

    def __init__(self, fields: Sequence[Field]) -> None:
        self.steps = [math.sqrt(math.prod(field.step)) for field in fields]

    def of(self, place: Place) -> float:
        """Return minus the side of the ground that is shown, in the scene's usual pixels."""
        return -math.sqrt(place.window.height * place.window.width) / self.steps[place.scene]


class RunningLoss:
    """Loss that chips around a place have cost: a running mean for each cell of the scenes.

    A cell that no chip was centred on yet is as hard as the mean of the others.

    Args:
        fields: the fit area of each scene.
        size_px: side of a chip, in its own pixels; cells are as large as chips.
        kept: share of a cell's mean that a further chip keeps.
    """

    def __init__(self, fields: Sequence[Field], size_px: int, kept: float = 0.5) -> None:
        self.kept = kept
        self.sides = [tuple(size_px * one for one in field.step) for field in fields]
        self.shapes = [
            (math.ceil(field.height / down), math.ceil(field.width / right))
            for field, (down, right) in zip(fields, self.sides, strict=True)
        ]
        self._starts = np.cumsum([0, *(rows * cols for rows, cols in self.shapes)]).tolist()
        self.means = torch.full((self._starts[-1],), torch.nan, dtype=torch.float64)
        self.means.share_memory_()  # type: ignore[no-untyped-call]

    def of(self, place: Place) -> float:
        """Return the running loss; 0 before any chip was learnt from."""
        own = float(self.means[self._cell(place)])
        return float(self.means.nanmean().nan_to_num(0.0)) if math.isnan(own) else own

    def learn(self, places: Sequence[Place], losses: Tensor) -> None:
        """Take note of the losses `(N,)` of some chips; what is not finite is left out."""
        for place, loss in zip(places, losses.double().tolist(), strict=True):
            if math.isfinite(loss):
                at = self._cell(place)
                before = float(self.means[at])
                kept = 0.0 if math.isnan(before) else self.kept
                self.means[at] = loss + (kept * (before - loss) if kept else 0.0)

    def _cell(self, place: Place) -> int:
        window, (down, right) = place.window, self.sides[place.scene]
        rows, cols = self.shapes[place.scene]
        row = int((window.row_off + window.height / 2) // down)
        col = int((window.col_off + window.width / 2) // right)
        row, col = min(max(row, 0), rows - 1), min(max(col, 0), cols - 1)
        return int(self._starts[place.scene]) + row * cols + col
