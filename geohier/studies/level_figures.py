"""Redundancy and capacity of a pyramid: what each level alone brings, and how full it is."""

import math
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from geohier.config.schema import TrainConfig
from geohier.data.chips import Chip, ChipDataset, choose_chips
from geohier.data.labels import IGNORE_INDEX
from geohier.data.prepare import TrainingData
from geohier.evaluation.segmentation import class_scores, macro
from geohier.models.segmentation import Downsampled
from geohier.models.similarity_of_levels import Moments, effective_rank, linear_cka
from geohier.models.without_level import look_without, merges_levels

MOST_CHIPS = 64
"""Chips that are looked at, spread evenly over the choose blocks."""

type Json = dict[str, Any]


def level_figures(network: nn.Module, config: TrainConfig, data: TrainingData) -> Json | None:
    """Return the figures of each level of a network, on chips of the choose blocks.

    - `loss_without`, `iou_without`: how much the cross-entropy rises and the mean IoU changes when
      this level alone is zeroed as it enters the merge.
    - `effective_rank` of its features, and their `channels`.
    - `gradient_norm`: of the cross-entropy of a chip by the level's features, by whatever way;
      mean over the chips.
    - `cka`: linear CKA of each two levels, on the cells of the coarser one; None where one of them
      is the same everywhere.

    Args:
        network: as it predicts.
        config: what it was trained with.
        data: its scenes.

    Returns:
        None for a network that does not merge levels.
    """
    inner = network.network if isinstance(network, Downsampled) else network
    if not merges_levels(inner):
        return None
    chips = choose_chips(data, config)
    return measure_figures(inner, _spread(chips), len(config.data.classes))


def measure_figures(network: nn.Module, chips: Sequence[Chip], classes: int) -> Json:
    """Return the figures that `level_figures` explains, of chips at the network's resolution."""
    training = network.training
    network.eval()
    whole = _look(network, chips[0])
    count = len(whole)
    tally = _Tally(count, classes)
    pairs = {
        (one, other): Moments(whole[one].shape[1], whole[other].shape[1])
        for one, other in combinations(range(count), 2)
    }
    alone = [Moments(level.shape[1], 0) for level in whole]
    for chip in chips:
        levels = tally.take(network, chip)
        for moments, level in zip(alone, levels, strict=True):
            moments.add(_cells(level), _cells(level)[:, :0])
        for (one, other), moments in pairs.items():
            height, width = levels[other].shape[-2:]
            pooled = functional.adaptive_avg_pool2d(levels[one], (height, width))
            moments.add(_cells(pooled), _cells(levels[other]))
    network.train(training)
    cka: list[list[float | None]] = [[1.0] * count for _ in range(count)]
    for (one, other), moments in pairs.items():
        found = linear_cka(moments)
        cka[one][other] = cka[other][one] = None if math.isnan(found) else found
    ranks = [effective_rank(moments.centred()[0]) for moments in alone]
    figures = [
        {**tally.of_level(at), "effective_rank": ranks[at], "channels": whole[at].shape[1]}
        for at in range(count)
    ]
    return {"chips": len(chips), "levels": figures, "cka": cka}


class _Tally:
    """Losses, hits and gradients of chips, with all levels and without each."""

    def __init__(self, levels: int, classes: int) -> None:
        self.losses = torch.zeros(levels + 1, dtype=torch.float64)
        self.confusion = torch.zeros(levels + 1, classes, classes, dtype=torch.int64)
        self.gradients = torch.zeros(levels, dtype=torch.float64)
        self.labelled = 0

    def take(self, network: nn.Module, chip: Chip) -> list[Tensor]:
        """Count one chip, and return its levels."""
        image, labels = chip["image"][None], chip["mask"][None]
        seen = look_without(network, image)
        if bool((labels != IGNORE_INDEX).any()):
            loss = self._count(0, seen.logits, labels)
            gradients = torch.autograd.grad(loss, seen.levels)
            self.gradients += torch.tensor([float(one.norm()) for one in gradients])
            with torch.no_grad():
                for level in range(len(seen.levels)):
                    answer = look_without(network, image, without=level).logits
                    self._count(level + 1, answer, labels)
            self.labelled += 1
        return [level.detach() for level in seen.levels]

    def _count(self, at: int, logits: Tensor, labels: Tensor) -> Tensor:
        loss = functional.cross_entropy(logits, labels, ignore_index=IGNORE_INDEX)
        self.losses[at] += float(loss.detach())
        known, classes = labels != IGNORE_INDEX, logits.shape[1]
        cells = labels[known] * classes + logits.argmax(1)[known]
        self.confusion[at] += cells.bincount(minlength=classes**2).view(classes, classes)
        return loss

    def of_level(self, level: int) -> dict[str, float | None]:
        chips = self.labelled
        if not chips:
            return dict.fromkeys(("loss_without", "iou_without", "gradient_norm"))
        ious = macro(class_scores(self.confusion.numpy())["iou"])
        return {
            "loss_without": float(self.losses[level + 1] - self.losses[0]) / chips,
            "iou_without": float(ious[level + 1] - ious[0]),
            "gradient_norm": float(self.gradients[level]) / chips,
        }


@torch.no_grad()
def _look(network: nn.Module, chip: Chip) -> list[Tensor]:
    return look_without(network, chip["image"][None]).levels


def _cells(level: Tensor) -> Tensor:
    """Return a level as one row of channels for each cell."""
    return level.flatten(2).transpose(1, 2).flatten(0, 1)


def _spread(chips: ChipDataset) -> list[Chip]:
    """Return at most `MOST_CHIPS` chips, as far apart as may be."""
    count = min(len(chips), MOST_CHIPS)
    return [chips[at * len(chips) // count] for at in range(count)]
