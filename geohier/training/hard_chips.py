"""Which chips of an epoch were hard, for the next one; kept in the checkpoints of the run."""

from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from geohier.data.samplers import HardPlaces
from geohier.training.task import SegmentationTask


class RememberHardChips(Callback):
    """Tells the sampler at the end of each epoch what its chips have cost.

    Within an epoch nothing changes, so which chips it draws depends neither on the number of
    workers nor on how far ahead of the training they are.

    Args:
        places: the sampler; the loader must ask for the chips of an epoch in their order.
    """

    def __init__(self, places: HardPlaces) -> None:
        self.places = places
        self._chips: list[tuple[int, int]] = []
        self._losses: list[Tensor] = []

    def on_train_epoch_start(self, *_: object) -> None:
        self._chips, self._losses = [], []

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: object,
        batch: object,
        batch_idx: int,
    ) -> None:
        assert isinstance(pl_module, SegmentationTask)
        first, epoch = len(self._chips), trainer.current_epoch
        count = len(pl_module.chip_losses)
        self._chips += [self.places.first_drawn(epoch, first + at) for at in range(count)]
        self._losses.append(pl_module.chip_losses)

    def on_train_epoch_end(self, *_: object) -> None:
        self.places.remember(torch.tensor(self._chips), torch.cat(self._losses))

    def state_dict(self) -> dict[str, Any]:
        chips, losses = self.places.memory
        return {"chips": chips, "losses": losses}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.places.remember(state_dict["chips"], state_dict["losses"])
