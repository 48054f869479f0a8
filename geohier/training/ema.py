"""Averaged weights: what is judged and kept is a running mean of the weights, which is smoother."""

from collections.abc import Sequence

import torch
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor


class AveragedWeights(WeightAveraging):
    """Lightning's weight averaging with a decay that grows from 0 to `decay` in the first steps.

    Without that the first, random weights would linger. Validation and checkpoints see the averaged
    weights; the running statistics of batch normalisation are averaged like weights.

    Args:
        decay: share of the average that a step keeps.
    """

    def __init__(self, decay: float) -> None:
        super().__init__(
            multi_avg_fn=lambda means, values, steps: average_in(means, values, int(steps), decay)
        )


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
