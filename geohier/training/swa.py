"""Stochastic weight averaging: at the end, the plain mean of the weights after each epoch."""

from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import WeightAveraging
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from geohier.config.schema import TrainConfig
from geohier.data.chips import ChipDataset
from geohier.training.loader import shares
from geohier.training.ranks import current_rank, share_changes

MEASURED = 32
"""Batches by which the statistics of the mean's batch normalisations are measured."""


class LateMean(WeightAveraging):
    """Judges and keeps the mean of the weights of the last epochs, and before them the weights.

    Running statistics are those of other weights than the mean; they are measured anew on the
    chips of the epoch (Izmailov et al. 2018, Averaging weights leads to wider optima, UAI).

    Args:
        chips: what is fitted on.
        config: epochs, and the share of them that is averaged.
    """

    def __init__(self, chips: ChipDataset, config: TrainConfig) -> None:
        super().__init__(use_buffers=False)
        self.chips = chips
        self.batch_size = config.chips.batch_size
        self.measures = not config.fine_tuning.frozen_statistics
        self.first = first_averaged(config.training.epochs, config.training.swa_share)

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        return False  # an epoch is in the mean before it is judged, see below

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        mean: Any = self._average_model
        if trainer.current_epoch <= self.first:
            mean.n_averaged.zero_()
        mean.update_parameters(pl_module)
        super().on_validation_epoch_start(trainer, pl_module)
        if trainer.current_epoch > self.first and self.measures:
            with trainer.precision_plugin.forward_context():
                self._measure(pl_module)

    @torch.no_grad()
    def _measure(self, task: LightningModule) -> None:
        network = task.get_submodule("network")
        norms = [one for one in network.modules() if isinstance(one, _BatchNorm) and _learns(one)]
        before = [buffer.clone() for buffer in network.buffers()]
        momenta = [norm.momentum for norm in norms]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # the plain mean over batches
            norm.train()
        for part in shares(len(self.chips), self.batch_size, current_rank(), whole=True)[:MEASURED]:
            images = torch.stack([self.chips[at]["image"] for at in part])
            network(images.to(task.device, memory_format=torch.channels_last))
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
            norm.eval()
        share_changes(network.buffers(), before)


def first_averaged(epochs: int, share: float) -> int:
    """Return the first epoch, counted from 0, whose weights are in the mean.

    Example:
        >>> [first_averaged(epochs, 0.25) for epochs in (1, 8, 60)]
        [0, 6, 45]
    """
    return epochs - max(1, round(share * epochs))


def _learns(module: nn.Module) -> bool:
    return any(one.requires_grad for one in module.parameters(recurse=False))
