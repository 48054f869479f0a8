"""A curriculum: easy chips first, and bit by bit the hard ones too.

For each chip several places are drawn, ordered by difficulty, and one of the easiest is taken; how
many count as easy grows with the epochs until all do. That is weighing places by pace and
difficulty without having to know the difficulty of every place. The pace is the root competence of
Platanios et al. 2019 (Competence-based curriculum learning, NAACL).
"""

import math

import numpy as np
import torch

from geohier.config.curriculum import CurriculumConfig
from geohier.config.schema import TrainConfig
from geohier.data.difficulty import ClassEntropy, Difficulty, PixelSize, RunningLoss
from geohier.data.fit_labels import FitLabels
from geohier.data.label_cells import LabelCells
from geohier.data.prepare import TrainingData
from geohier.data.sampling import Place, RandomPlaces, sample_rng

CANDIDATES = 8
"""Places that are drawn for a chip: enough for shares of an eighth; more would cost more time."""

LOGGED = 256
"""Chips of an epoch whose difficulty is looked at for the log."""


class PacedPlaces(RandomPlaces):
    """Places whose difficulty follows the epoch.

    Args:
        places: draws the candidates.
        difficulty: orders them.
        config: pace and direction.
    """

    def __init__(
        self, places: RandomPlaces, difficulty: Difficulty, config: CurriculumConfig
    ) -> None:
        super().__init__(places.fields, places.size_px, places.scale)
        self.places = places
        self.difficulty = difficulty
        self.config = config
        self._epoch = torch.zeros((), dtype=torch.int64)
        self._epoch.share_memory_()  # type: ignore[no-untyped-call]

    def set_epoch(self, epoch: int) -> None:
        """Start an epoch; workers that are already running see it too."""
        self._epoch.fill_(epoch)

    def draw(self, rng: np.random.Generator) -> Place:
        """Draw the place of a chip."""
        return self._draw(rng)[0]

    def quantile(self, seed: int, epoch: int, chips: int) -> float:
        """Return the mean quantile of difficulty of an epoch's first chips among their candidates.

        One half where all places come alike; below while easy ones are preferred.
        """
        drawn = (self._draw(sample_rng(seed, epoch, at))[1] for at in range(min(chips, LOGGED)))
        return float(np.mean(list(drawn)))

    def _draw(self, rng: np.random.Generator) -> tuple[Place, float]:
        """Return a place, and its quantile of difficulty among the candidates."""
        candidates = [self.places.draw(rng) for _ in range(CANDIDATES)]
        hard = np.array([self.difficulty.of(one) for one in candidates])
        backwards = self.config.order == "hard_first"
        order = np.argsort(-hard if backwards else hard, kind="stable")  # NaN comes last
        allowed = math.ceil(competence(int(self._epoch), self.config) * CANDIDATES)
        rank = int(rng.integers(allowed))
        quantile = (rank + 0.5) / CANDIDATES
        return candidates[order[rank]], 1 - quantile if backwards else quantile


def competence(epoch: int, config: CurriculumConfig) -> float:
    """Return the share of the places, the easiest ones, that an epoch (from 0) is drawn from.

    Example:
        >>> config = CurriculumConfig(start=0.25, epochs=4)
        >>> [round(competence(epoch, config), 2) for epoch in range(6)]
        [0.25, 0.54, 0.73, 0.88, 1.0, 1.0]
    """
    done = min(1.0, epoch / config.epochs)
    return math.sqrt(done * (1 - config.start**2) + config.start**2)


def paced(places: RandomPlaces, data: TrainingData, config: TrainConfig) -> PacedPlaces:
    """Return places that follow the curriculum of a config."""
    return PacedPlaces(places, _difficulty(data, config), config.curriculum)


def _difficulty(data: TrainingData, config: TrainConfig) -> Difficulty:
    match config.curriculum.difficulty:
        case "entropy":
            cells = LabelCells(FitLabels(data.train, data.fit), len(data.table.classes))
            return ClassEntropy(cells, data.fit)
        case "loss":
            return RunningLoss(data.fit, config.chips.size_px)
        case _:
            return PixelSize(data.fit)
