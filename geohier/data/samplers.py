"""Samplers that prefer some places to others: labels, rare classes, objects, what is still hard.

All are drawn from (seed, epoch, index) alone, as in `sampling.py`; the hard one also from what the
epoch before remembered. Processes that share an epoch share its indexes, so none comes up twice.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from geohier.config.chips import ChipsConfig
from geohier.config.schema import TrainConfig
from geohier.data.fit_labels import FitLabels
from geohier.data.label_cells import LabelCells, drawing_rates
from geohier.data.label_objects import find_objects
from geohier.data.prepare import TrainingData
from geohier.data.sampling import Field, Place, RandomPlaces, index_at, sample_rng, scene_factors
from geohier.errors import LabelError

SPREAD = 0.25
"""Part of a chip's side by which its centre may miss what it was drawn for: that would else always
lie in the middle."""


class LabelPlaces(RandomPlaces):
    """Chips that hold labelled pixels, as often of each class as it is told.

    Args:
        fields, size_px, scale: as in RandomPlaces.
        cells: where the labelled pixels are.
        cap: how many times its share of the labelled pixels a class is drawn at most; up to that,
            all classes are drawn alike, and at 1 all labelled pixels are.
    """

    def __init__(
        self,
        fields: Sequence[Field],
        size_px: int,
        scale: tuple[float, float],
        *,
        cells: LabelCells,
        cap: float = 1.0,
    ) -> None:
        super().__init__(fields, size_px, scale)
        self.cells = cells
        self.rates = drawing_rates(cells.shares, cap)
        if not self.rates.any():
            raise LabelError(
                "the fit area holds no labelled pixel: lower training.buffer_px, or label more"
            )

    def draw(self, rng: np.random.Generator) -> Place:
        """Draw the place of a chip: its class, then a pixel of it."""
        index = int(rng.choice(len(self.rates), p=self.rates / self.rates.sum()))
        return self.around(rng, *self.cells.point(rng, index), SPREAD)


class ObjectPlaces(RandomPlaces):
    """Chips around objects, each as often as any other of its scene, however small.

    Args:
        fields, size_px, scale: as in RandomPlaces.
        objects: scene, row and column `(N, 3)` of each object.
        factors: for each scene, what the number of its objects is multiplied with.
    """

    def __init__(
        self,
        fields: Sequence[Field],
        size_px: int,
        scale: tuple[float, float],
        *,
        objects: NDArray[np.int64],
        factors: NDArray[np.float64],
    ) -> None:
        super().__init__(fields, size_px, scale)
        self.objects = objects
        self._object_ends = np.cumsum(factors[objects[:, 0]])

    def draw(self, rng: np.random.Generator) -> Place:
        """Draw the place of a chip: an object, whose middle it holds."""
        scene, row, col = self.objects[index_at(self._object_ends, rng.random())].tolist()
        return self.around(rng, scene, row, col, SPREAD)


class HardPlaces(RandomPlaces):
    """Chips of which a share are chips of the epoch before, drawn again by their loss in it.

    A chip is known by the epoch and the index in which its place was first drawn, so that all that
    is remembered are three numbers for each chip of one epoch.

    Args:
        places: draws chips for the first time.
        share: share of the chips that are drawn again.
        seed: the run's.
        length: chips of an epoch.
    """

    def __init__(self, places: RandomPlaces, share: float, seed: int, length: int) -> None:
        super().__init__(places.fields, places.size_px, places.scale)
        self.places = places
        self.share = share
        self.seed = seed
        self._chips = torch.zeros((length, 2), dtype=torch.int64)
        self._losses = torch.zeros(length, dtype=torch.float64)
        for shared in (self._chips, self._losses):
            shared.share_memory_()  # type: ignore[no-untyped-call]

    def draw(self, rng: np.random.Generator) -> Place:
        """Draw the place of a chip."""
        place, again = self.places.draw(rng), self._again(rng)
        return place if again is None else self.places.draw(sample_rng(self.seed, *again))

    def first_drawn(self, epoch: int, index: int) -> tuple[int, int]:
        """Return the epoch and the index in which a chip of this epoch was first drawn."""
        rng = sample_rng(self.seed, epoch, index)
        self.places.draw(rng)
        return self._again(rng) or (epoch, index)

    def remember(self, chips: Tensor, losses: Tensor) -> None:
        """Take note of the chips of an epoch; workers that are already running see it too.

        Args:
            chips: epoch and index `(N, 2)` in which each was first drawn.
            losses: its loss `(N,)`; what is not finite is forgotten.
        """
        known = losses.isfinite()
        count = int(known.sum())
        self._losses.zero_()
        self._chips[:count] = chips[known]
        self._losses[:count] = losses[known].double()

    @property
    def memory(self) -> tuple[Tensor, Tensor]:
        """What is remembered, as `remember` takes it."""
        known = self._losses > 0
        return self._chips[known].clone(), self._losses[known].clone()

    def _again(self, rng: np.random.Generator) -> tuple[int, int] | None:
        """Draw whether a chip is drawn again, and which one."""
        wanted, drawn = rng.random(2)
        ends = np.cumsum(self._losses.numpy())
        if wanted >= self.share or ends[-1] == 0:
            return None
        epoch, index = self._chips[index_at(ends, drawn)].tolist()
        return epoch, index


def fit_places(data: TrainingData, config: TrainConfig) -> RandomPlaces:
    """Return the sampler of a config over the fit area."""
    chips, scale = config.chips, config.augment.scale
    labels = FitLabels(data.train, data.fit)
    match chips.sampler:
        case "uniform" | "hard":
            return RandomPlaces(data.fit, chips.size_px, scale, chips.scenes)
        case "balanced" | "labelled":
            cells = LabelCells(labels, len(data.table.classes), chips.scenes)
            cap = chips.balance_cap if chips.sampler == "balanced" else 1.0
            return LabelPlaces(data.fit, chips.size_px, scale, cells=cells, cap=cap)
        case "objects":
            objects = find_objects(labels, object_classes(data, chips))
            counts = np.bincount(objects[:, 0], minlength=len(data.fit)).astype(np.float64)
            factors = scene_factors(counts, chips.scenes)
            return ObjectPlaces(data.fit, chips.size_px, scale, objects=objects, factors=factors)


def object_classes(data: TrainingData, chips: ChipsConfig) -> tuple[int, ...]:
    """Return the indexes of the classes that are objects: those named, or all but the commonest."""
    names = [one.name for one in data.table.classes]
    if chips.object_classes is not None:
        return tuple(names.index(name) for name in chips.object_classes)
    ground = int(np.argmax(data.class_counts))
    return tuple(at for at in range(len(names)) if at != ground)
