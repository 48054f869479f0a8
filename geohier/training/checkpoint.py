"""The last and the best epoch of a run, kept so that it can go on, and when to stop.

Lightning's checkpoints hold pickled tensors, so they only ever serve to go on with one's own run,
and are read with `weights_only=True`: nothing in them can run.
"""

import io
import os
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from torch import Tensor

from geohier.config.training import TrainingConfig
from geohier.errors import ModelError
from geohier.raster.durable import draft_of, sync, write_durably, writing

LAST = "last.ckpt"
BEST = "best.ckpt"

NEEDED_TO_GO_ON = ("state_dict", "optimizer_states", "lr_schedulers", "loops")
"""What Lightning looks for in a checkpoint when a run goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunProgress:
    """How far a run has come.

    Args:
        epochs: whole epochs.
        best_epoch: epoch with the best score so far, counted from 1.
        best_score: its score.
        finished: whether the run is to stop here.
    """

    epochs: int = 0
    best_epoch: int = 0
    best_score: float = float("-inf")
    finished: bool = False

    def after_epoch(self, score: float, config: TrainingConfig, *, stop: bool) -> "RunProgress":
        """Return the progress after one more epoch; without patience left, the run is finished."""
        epochs = self.epochs + 1
        better = score > self.best_score
        best_epoch = epochs if better else self.best_epoch
        tired = config.patience is not None and epochs - best_epoch >= config.patience
        return RunProgress(
            epochs=epochs,
            best_epoch=best_epoch,
            best_score=score if better else self.best_score,
            finished=stop or tired or epochs >= config.epochs,
        )


@runtime_checkable
class Judged(Protocol):
    """What is trained, and judged after each epoch."""

    def choose_score(self) -> float:
        """Return the score of the epoch, the higher the better."""


class KeepBestAndLast(Checkpoint):
    """Saves each whole epoch as the last one, and its weights as the best ones if its score is.

    The last one has all that is needed to go on, about four times the weights: they themselves,
    their average, and two means of the optimiser.

    Args:
        folder: where the checkpoints lie.
        config: patience, epochs, steps.
        progress: how far the run has come already.
    """

    def __init__(self, folder: Path, config: TrainingConfig, progress: RunProgress) -> None:
        self.folder = folder
        self.config = config
        self.progress = progress

    def on_train_batch_end(self, trainer: Trainer, *_: object) -> None:
        most = self.config.max_steps
        if most is not None and trainer.global_step >= most:
            trainer.should_stop = True  # the epoch ends here, with its score

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, Judged)
        self.progress = self.progress.after_epoch(
            pl_module.choose_score(), self.config, stop=trainer.should_stop
        )
        if trainer.is_global_zero:
            self._save(trainer)
        else:  # this process writes nothing, but the first one waits for it
            trainer.save_checkpoint(self.folder / LAST, weights_only=False)
        trainer.should_stop = self.progress.finished

    def _save(self, trainer: Trainer) -> None:
        with writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        with draft_of(self.folder / LAST) as draft:
            trainer.save_checkpoint(draft, weights_only=False)
            if self.progress.best_epoch == self.progress.epochs:
                _keep_weights(draft, self.folder / BEST)
        sync(self.folder)

    def state_dict(self) -> dict[str, Any]:
        return asdict(self.progress)


def read_progress(folder: Path) -> RunProgress:
    """Return how far a run has come by its last checkpoint; it may be the very start.

    Raises:
        ModelError: the checkpoint, or that of the best epoch, is damaged or gone.
    """
    if not (folder / LAST).is_file():
        return RunProgress()
    with _refusing_damage(folder / LAST):
        checkpoint = _read(folder / LAST)
        itemgetter(*NEEDED_TO_GO_ON)(checkpoint)
        progress = RunProgress(**checkpoint["callbacks"][KeepBestAndLast.__qualname__])
    if progress.best_epoch:
        best_weights(folder)  # else it would be missed only after the last epoch
    return progress


def best_weights(folder: Path) -> dict[str, Tensor]:
    """Return the (averaged) weights of the network at the best epoch of a run.

    Raises:
        ModelError: there is no such checkpoint, or it is damaged.
    """
    with _refusing_damage(folder / BEST):
        weights = _read(folder / BEST)["state_dict"]
        inside = "network."  # beside it is what training alone has
        return {
            name.removeprefix(inside): value
            for name, value in weights.items()
            if name.startswith(inside)
        }


def _keep_weights(checkpoint: Path, path: Path) -> None:
    """Write the weights of a checkpoint, and nothing else of it, to a file of their own."""
    content = io.BytesIO()
    torch.save({"state_dict": _read(checkpoint)["state_dict"]}, content)
    write_durably(path, content.getvalue())


def _read(path: Path) -> Any:  # noqa: ANN401 - what a file holds
    return torch.load(os.fspath(path), map_location="cpu", weights_only=True, mmap=True)


@contextmanager
def _refusing_damage(path: Path) -> Iterator[None]:
    """Turn what torch raises about a file, and what the file lacks, into one kind of error."""
    try:
        yield
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise _no_checkpoint(path, str(error).split("\n", 1)[0]) from error
    except KeyError as error:
        raise _no_checkpoint(path, f"it lacks {error.args[0]}") from error
    except (TypeError, AttributeError) as error:
        raise _no_checkpoint(path, "it holds something else") from error


def _no_checkpoint(path: Path, reason: str) -> ModelError:
    return ModelError(
        f"{path} is no checkpoint, or a damaged one ({reason}): remove it, or train anew"
    )
