"""Averaged weights: what is judged and kept is a running mean of the weights, which is smoother."""

from collections.abc import Sequence

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import WeightAveraging
from lightning.pytorch.utilities.types import STEP_OUTPUT
from torch import Tensor, nn

from geohier.layers.memory import memories


class AveragedWeights(WeightAveraging):
    """Lightning's weight averaging with a decay that grows from 0 to `decay` in the first steps.

    Without that the first, random weights would linger. Validation and checkpoints see the averaged
    weights; the running statistics of batch normalisation are averaged like weights. A memory is
    not: a slot that was given anew would be a mean of two meanings. It is kept as it was written.

    Args:
        decay: share of the average that a step keeps.
    """

    def __init__(self, decay: float) -> None:
        super().__init__(
            multi_avg_fn=lambda means, values, steps: average_in(means, values, int(steps), decay)
        )

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: STEP_OUTPUT,
        batch: object,
        batch_idx: int,
    ) -> None:
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        assert self._average_model is not None
        keep_memory(self._average_model, pl_module)


@torch.no_grad()
def keep_memory(averaged: nn.Module, network: nn.Module) -> None:
    """Give averaged weights the memory, if there is one, that training wrote."""
    for kept, written in zip(memories(averaged), memories(network), strict=True):
        for buffer, value in zip(kept.buffers(), written.buffers(), strict=True):
            buffer.copy_(value)


@torch.no_grad()
def average_in(means: Sequence[Tensor], values: Sequence[Tensor], steps: int, decay: float) -> None:
    """Move each mean towards its value; counters are copied.

    Args:
        means: running means, changed in place.
        values: values of this step.
        steps: steps that are in the means already.
        decay: share of the mean that is kept after many steps.
    """
    kept = min(decay, (1 + steps) / (10 + steps))
    if means[0].is_floating_point():
        torch._foreach_lerp_(list(means), list(values), 1 - kept)
    else:
        torch._foreach_copy_(list(means), list(values))
