"""Which chips of an epoch were hard, for the next one; kept in the checkpoints of the run."""

from typing import Any

import torch
from lightning.pytorch import Trainer

from geohier.data.samplers import HardPlaces
from geohier.training.chip_losses import ChipLosses


class RememberHardChips(ChipLosses):
    """Tells the sampler at the end of each epoch what its chips have cost.

    Args:
        places: the sampler.
    """

    def __init__(self, places: HardPlaces) -> None:
        super().__init__()
        self.places = places

    def on_train_epoch_end(self, trainer: Trainer, *_: object) -> None:
        losses, epoch = self.losses, trainer.current_epoch
        chips = [self.places.first_drawn(epoch, at) for at in range(len(losses))]
        self.places.remember(torch.tensor(chips), losses)

    def state_dict(self) -> dict[str, Any]:
        chips, losses = self.places.memory
        return {"chips": chips, "losses": losses}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.places.remember(state_dict["chips"], state_dict["losses"])
