"""The curriculum of a run: its log, and the losses that it goes by."""

from typing import TYPE_CHECKING, Any

from lightning.pytorch import Callback, LightningModule, Trainer

from geohier.data.curriculum import PacedPlaces
from geohier.data.difficulty import RunningLoss
from geohier.data.sampling import Place, sample_rng
from geohier.training.task import SegmentationTask

if TYPE_CHECKING:
    from torch import Tensor


class Pace(Callback):
    """Logs how hard the chips of each epoch are, and tells the curriculum what they have cost.

    Losses are told at the end of an epoch, so which chips come depends neither on the number of
    workers nor on how far ahead of the training they are.

    Args:
        places: the sampler; the loader must ask for the chips of an epoch in their order.
        seed: the run's.
        chips: chips of an epoch.
    """

    def __init__(self, places: PacedPlaces, seed: int, chips: int) -> None:
        self.places = places
        self.seed = seed
        self.chips = chips
        self._places: list[Place] = []
        self._losses: list[Tensor] = []

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, SegmentationTask)
        pl_module.difficulty = self.places.quantile(self.seed, trainer.current_epoch, self.chips)
        self._places, self._losses = [], []

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: object,
        batch: object,
        batch_idx: int,
    ) -> None:
        assert isinstance(pl_module, SegmentationTask)
        if not isinstance(self.places.difficulty, RunningLoss):
            return
        first, epoch = len(self._places), trainer.current_epoch
        for at in range(len(pl_module.chip_losses)):
            self._places.append(self.places.draw(sample_rng(self.seed, epoch, first + at)))
        self._losses.append(pl_module.chip_losses)

    def on_train_epoch_end(self, *_: object) -> None:
        if isinstance(self.places.difficulty, RunningLoss):
            for losses in self._losses:
                told, self._places = self._places[: len(losses)], self._places[len(losses) :]
                self.places.difficulty.learn(told, losses)

    def state_dict(self) -> dict[str, Any]:
        known = self.places.difficulty
        return {"means": known.means.clone()} if isinstance(known, RunningLoss) else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        known = self.places.difficulty
        if isinstance(known, RunningLoss):
            known.means.copy_(state_dict["means"])
