"""Runs of a training that are broken off, to be resumed."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from lightning.pytorch import LightningModule, Trainer

from geohier.training.checkpoint import KeepBestAndLast
from geohier.training.learning import LearningTask

PLACES = ("in the first epoch", "in an epoch", "before it is saved")


class StoppedError(Exception):
    """Stands for whatever breaks a run off."""


@contextmanager
def broken_off(task: type[LearningTask], place: str, epoch: int) -> Iterator[None]:
    """Break the run off that is made within: in an epoch (from 0) or before it is saved."""
    step, keep = task.training_step, KeepBestAndLast.on_train_epoch_end
    broken = 0 if place == "in the first epoch" else epoch

    def broken_step(self: LearningTask, batch: Any, batch_idx: int) -> None:  # noqa: ANN401
        if (self.current_epoch, batch_idx) == (broken, 1):
            raise StoppedError
        step(self, batch, batch_idx)

    def broken_keep(self: KeepBestAndLast, trainer: Trainer, learning: LightningModule) -> None:
        if self.progress.epochs == broken:
            raise StoppedError
        keep(self, trainer, learning)

    with pytest.MonkeyPatch.context() as patch:
        if place == "before it is saved":
            patch.setattr(KeepBestAndLast, "on_train_epoch_end", broken_keep)
        else:
            patch.setattr(task, "training_step", broken_step)
        with pytest.raises(StoppedError):
            yield
