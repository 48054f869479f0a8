"""AdamW and its learning rate: a rise to the highest, then a fall along a cosine."""

import math
from collections.abc import Mapping

from torch import nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from geohier.config.training import TrainingConfig


def optimizer(
    network: nn.Module, config: TrainingConfig, rates: Mapping[nn.Parameter, float] | None = None
) -> AdamW:
    """Return AdamW that decays weights, but neither biases nor the scales of normalisations.

    Args:
        network: what learns.
        config: highest learning rate and decay.
        rates: share of that rate for parameters that learn more slowly.
    """
    shares = rates or {}
    learned = [parameter for parameter in network.parameters() if parameter.requires_grad]
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {(1.0, True): [], (1.0, False): []}
    for parameter in learned:
        key = shares.get(parameter, 1.0), parameter.ndim > 1
        groups.setdefault(key, []).append(parameter)
    return AdamW(
        [
            {
                "params": parameters,
                "lr": share * config.learning_rate,
                "weight_decay": config.weight_decay if decays else 0.0,
            }
            for (share, decays), parameters in groups.items()
        ],
        lr=config.learning_rate,
        fused=True,
    )


def schedule(of: Optimizer, config: TrainingConfig, steps_per_epoch: int) -> LambdaLR:
    """Return the learning rate of each step."""
    total = config.epochs * steps_per_epoch
    warm_up = min(round(config.warmup_epochs * steps_per_epoch), total - 1)
    return LambdaLR(of, lambda step: share_of_highest(step, total, warm_up))


def share_of_highest(step: int, total: int, warm_up: int) -> float:
    """Return the share of the highest learning rate at a step, counted from 0.

    Example:
        >>> [share_of_highest(step, total=6, warm_up=2) for step in (0, 1, 2, 4, 6)]
        [0.5, 1.0, 1.0, 0.5, 0.0]
    """
    if step < warm_up:
        return (step + 1) / warm_up
    done = min((step - warm_up) / (total - warm_up), 1.0)
    return (1 + math.cos(math.pi * done)) / 2
