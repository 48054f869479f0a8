"""Memories, and levels that say which class each of their cells is of."""

import torch
from pyramids import pyramid
from torch import Tensor

from geohier.config.memory import MemoryConfig
from geohier.layers.memory import LevelMemory, build_memory, label_counts, majority

CHANNELS = (8, 8, 12)


def memory(**values: object) -> LevelMemory:
    torch.manual_seed(0)
    config = MemoryConfig.model_validate({"slots": 2, **values})
    built = build_memory(config, CHANNELS, classes=3)
    assert isinstance(built, LevelMemory)
    return built


def labels(batch: int = 2, seed: int = 0) -> Tensor:
    """Classes in squares of 16 pixels: each cell of each level is of one class."""
    coarse = torch.randint(0, 3, (batch, 8, 8), generator=torch.Generator().manual_seed(seed))
    return coarse.repeat_interleave(16, 1).repeat_interleave(16, 2)


def taught(steps: int = 6, **values: object) -> LevelMemory:
    """A memory of levels that say which class they are of, with readings that matter."""
    built = memory(**values)
    for step in range(steps):
        built(telling(labels(seed=step), seed=step))
        built.write(labels(seed=step), total=alone)
    with torch.no_grad():
        for bank in built.banks:
            bank.project.weight.copy_(torch.eye(len(bank.project.weight)))
    return built.eval()


def telling(truth: Tensor, seed: int = 0) -> list[Tensor]:
    """Levels whose first channels say the class, on top of noise."""
    found = pyramid(CHANNELS, side=32, batch=len(truth), seed=seed)
    for level in found:
        cells = cell_classes(truth, *level.shape[-2:], classes=3)
        for one in range(3):
            level[:, one] += 8 * (cells == one)
    return found


def cell_classes(truth: Tensor, height: int, width: int, classes: int) -> Tensor:
    return majority(label_counts(truth, height, width, classes))


def alone(own: Tensor) -> Tensor:
    return own
