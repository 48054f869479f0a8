"""The curriculum of a run: its log, and the losses that it goes by."""

from typing import Any

from lightning.pytorch import LightningModule, Trainer

from geohier.data.curriculum import PacedPlaces
from geohier.data.difficulty import RunningLoss
from geohier.data.sampling import sample_rng
from geohier.training.chip_losses import ChipLosses
from geohier.training.task import SegmentationTask


class Pace(ChipLosses):
    """Logs how hard the chips of each epoch are, and tells the curriculum what they have cost.

    Args:
        places: the sampler.
        seed: the run's.
        chips: chips of an epoch.
    """

    def __init__(self, places: PacedPlaces, seed: int, chips: int) -> None:
        super().__init__()
        self.places = places
        self.seed = seed
        self.chips = chips

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_epoch_start(trainer, pl_module)
        assert isinstance(pl_module, SegmentationTask)
        pl_module.difficulty = self.places.quantile(self.seed, trainer.current_epoch, self.chips)

    def on_train_epoch_end(self, trainer: Trainer, *_: object) -> None:
        known = self.places.difficulty
        if isinstance(known, RunningLoss):
            losses, epoch = self.losses, trainer.current_epoch
            rngs = (sample_rng(self.seed, epoch, at) for at in range(len(losses)))
            known.learn([self.places.draw(rng) for rng in rngs], losses)

    def state_dict(self) -> dict[str, Any]:
        known = self.places.difficulty
        return {"means": known.means.clone()} if isinstance(known, RunningLoss) else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        known = self.places.difficulty
        if isinstance(known, RunningLoss):
            known.means.copy_(state_dict["means"])
