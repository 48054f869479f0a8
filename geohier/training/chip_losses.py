"""What each chip of an epoch has cost, for what chooses the chips of the next one."""

from typing import TYPE_CHECKING

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from geohier.training.task import SegmentationTask

if TYPE_CHECKING:
    from torch import Tensor


class ChipLosses(Callback):
    """Collects the losses of an epoch's chips, in the order of their indexes.

    They are told at the end of an epoch: within it nothing changes, so which chips come depends
    neither on the number of workers nor on how far ahead of the training they are. The loader must
    ask for the chips of an epoch in their order.
    """

    def __init__(self) -> None:
        self._batches: list[Tensor] = []

    @property
    def losses(self) -> "Tensor":
        """Loss `(N,)` of each chip of the epoch so far, NaN for one without labels."""
        return torch.cat(self._batches)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._batches = []

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: object) -> None:
        assert isinstance(pl_module, SegmentationTask)
        self._batches.append(pl_module.chip_losses)
