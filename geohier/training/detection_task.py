"""What learns to find objects: judged by how many it finds where they are."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from geohier.config.schema import TrainConfig
from geohier.data.chips import Chip
from geohier.data.labels import IGNORE_INDEX
from geohier.evaluation.peaks import Floats, Ranked, find_peaks, greedy_matches, rank
from geohier.objectives.spots import SpotLoss
from geohier.training.task import SegmentationTask

MARK_PX = 5
"""Side of the squares that stand for objects in pictures."""

LEAST = 0.05
"""Scores below it are no objects, whatever the threshold will be."""

type Judged = tuple[Floats, NDArray[np.bool_], int]
"""Of one chip: scores of what was found, whether each is right, and how many there are."""


class DetectionTask(SegmentationTask):
    """A network that learns where objects have their middles.

    Args:
        network: gives `(B, K, H, W)` logits, high for a class in the midst of its objects.
        config: classes, optimiser, seed, and what a right object is.
        loss: of the middles.
        steps_per_epoch: batches of an epoch.
        pixel_m: size of the network's pixels on the ground; 1 where it is not known.

    Attributes:
        found: of each class but the ground, the objects of the choose blocks: score, and whether it
            is right.
    """

    def __init__(
        self,
        network: nn.Module,
        config: TrainConfig,
        loss: SpotLoss,
        steps_per_epoch: int,
        pixel_m: float,
    ) -> None:
        super().__init__(network, config, loss, steps_per_epoch)
        self.ground = loss.ground
        own = config.detection
        self.match_px = own.match_m / pixel_m
        self.apart_px = own.apart_px(pixel_m)
        self._judged: dict[int, list[Judged]] = {}

    @property
    def objects(self) -> Iterator[int]:
        """Indexes of the classes that are objects."""
        return (at for at in range(len(self.config.data.classes)) if at != self.ground)

    def answer(self, image: Tensor) -> Tensor:
        scores = self.network(image).float().softmax(1).cpu().numpy()
        found = torch.full((len(scores), *scores.shape[2:]), self.ground)
        for at in self.objects:
            _, threshold = self.ranked(at).best_f1()
            for chip, marked in zip(scores[:, at], found, strict=True):
                places, _ = find_peaks(chip, self.apart_px, max(threshold, LEAST))
                marked[tuple(places.T)] = at
        return torch.stack([self.drawn(one) for one in found])

    def drawn(self, mask: Tensor) -> Tensor:
        """Return a mask of middles with squares in their places, which can be seen."""
        known = mask != IGNORE_INDEX
        marked = known & (mask != self.ground)
        near = functional.max_pool2d(
            (marked * (mask + 1))[None, None].float(), MARK_PX, 1, MARK_PX // 2
        )
        shown = torch.where(near[0, 0] > 0, near[0, 0].long() - 1, mask)
        return shown.where(known, IGNORE_INDEX)

    def on_validation_epoch_start(self) -> None:
        self._judged = {at: [] for at in self.objects}

    def validation_step(self, batch: Chip, batch_idx: int) -> None:
        labels = batch["mask"]
        scores = self._logits(batch["image"]).float().softmax(1)
        known = scores.masked_fill((labels == IGNORE_INDEX)[:, None], torch.nan).cpu().numpy()
        for at in self.objects:
            for chip, truth in zip(known[:, at], (labels == at).cpu().numpy(), strict=True):
                self._judge(at, chip, np.argwhere(truth).astype(np.float64))

    def _judge(self, at: int, scores: Floats, true: Floats) -> None:
        found, values = find_peaks(scores, self.apart_px, LEAST)
        right = greedy_matches(found.astype(np.float64), values, true, self.match_px)
        self._judged[at].append((values, right, len(true)))

    def on_validation_epoch_end(self) -> None:
        """Nothing is summed up: one process judges all."""

    def ranked(self, at: int) -> Ranked:
        """Return the objects of a class that were found on the choose blocks."""
        chips = self._judged[at]
        scores = np.concatenate([one[0] for one in chips]) if chips else np.zeros(0)
        right = np.concatenate([one[1] for one in chips]) if chips else np.zeros(0, np.bool_)
        return rank(scores, right, sum(one[2] for one in chips))

    def choose_score(self) -> float:
        """Return the mean F1 of the classes of objects that are there, each at its threshold."""
        known = [one for one in map(self.ranked, self.objects) if one.true]
        return float(np.mean([one.best_f1()[0] for one in known])) if known else 0.0

    def judged(self) -> dict[str, float | None]:
        row: dict[str, float | None] = {"choose_f1": self.choose_score()}
        for at in self.objects:
            name, found = self.config.data.classes[at].name, self.ranked(at)
            f1, threshold = found.best_f1() if found.true else (None, None)
            row |= {f"choose_f1.{name}": f1, f"choose_threshold.{name}": threshold}
        return row
