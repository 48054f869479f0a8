"""Lightning's trainer, set up for one run and kept quiet."""

import inspect
import logging
import os
import signal
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.utilities.warnings import PossibleUserWarning
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.strategies import DDPStrategy
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from geohier.config.schema import TrainConfig
from geohier.data.chips import ChipDataset
from geohier.data.curriculum import PacedPlaces
from geohier.data.samplers import HardPlaces
from geohier.data.samples import Samples
from geohier.efficiency.precision import choose_device, choose_precision
from geohier.models.hierarchy import HierarchicalSegmenter
from geohier.objectives.segmentation import SegmentationLoss
from geohier.objectives.spots import SpotLoss
from geohier.training.auxiliary import Auxiliary
from geohier.training.checkpoint import LAST, KeepBestAndLast
from geohier.training.detection_task import DetectionTask
from geohier.training.ema import AveragedWeights
from geohier.training.hard_chips import RememberHardChips
from geohier.training.latents import LatentLearning
from geohier.training.learning import LearningTask
from geohier.training.loader import batches, plain_worker_errors, shares
from geohier.training.pace import Pace
from geohier.training.ranks import Rank, current_rank, synchronised
from geohier.training.swa import LateMean
from geohier.training.task import SegmentationTask
from geohier.training.thawing import FixedStatistics, Thaw


def run_epochs(
    network: nn.Module,
    config: TrainConfig,
    loss: SegmentationLoss | SpotLoss,
    fit: ChipDataset,
    choose: ChipDataset,
    keep: KeepBestAndLast,
    watchers: Sequence[Callback] = (),
) -> None:
    """Train until the run is finished, going on after the epochs that `keep` knows of.

    Processes that have met share the work: each calls this.

    Args:
        network: changed in place; its best weights are in the checkpoints.
        config: course of the run.
        loss: what is minimised.
        fit: chips to learn from.
        choose: chips that judge each epoch.
        keep: saves the epochs and says when to stop.
        watchers: called before `keep`.
    """
    rank = current_rank()
    steps = len(shares(len(fit), config.chips.batch_size, rank, whole=True))
    if rank.of > 1 and choose_device().type == "cuda":
        network = synchronised(network)
    network.to(memory_format=torch.channels_last)
    task = _task(network, config, loss, steps, fit)
    means, memory = _averaging(fit, config), _memory(fit, config.training.seed)
    gently = config.fine_tuning
    thawing = [Thaw(network, gently)] if gently.frozen_epochs != 0 else []
    fixed = [FixedStatistics(network)] if gently.frozen_statistics else []
    fit_task(task, fit, choose, keep, [*thawing, *fixed, *means, *watchers, *memory])


def _task(
    network: nn.Module,
    config: TrainConfig,
    loss: SegmentationLoss | SpotLoss,
    steps: int,
    fit: ChipDataset,
) -> SegmentationTask:
    if isinstance(loss, SpotLoss):
        return DetectionTask(network, config, loss, steps, fit.pixel_m or 1.0)
    beside = _auxiliary(network, config), _latents(network, config)
    return SegmentationTask(network, config, loss, steps, *beside)


def fit_task[T](
    task: LearningTask,
    fit: Samples[T],
    choose: Samples[T],
    keep: KeepBestAndLast,
    callbacks: Sequence[Callback],
) -> None:
    """Let a task learn from samples, and be judged by others, until its run is finished.

    Args:
        task: what learns; it knows its config.
        fit: what is learnt from.
        choose: what judges each epoch.
        keep: how far the run has come, and what it leaves.
        callbacks: called before `keep`.
    """
    fit.set_epoch(keep.progress.epochs)  # the loader starts before the first epoch's hooks
    config, rank = task.config, current_rank()
    called = [_NextEpoch(fit), *callbacks, keep]
    with _quiet_lightning(), _interruptible(called), plain_worker_errors():
        _trainer(config, called, rank).fit(
            task,
            batches(fit, config, fit=True, rank=rank),
            batches(choose, config, fit=False, rank=rank),
            ckpt_path=os.fspath(keep.folder / LAST) if keep.progress.epochs else None,
            weights_only=True,
        )


def _auxiliary(network: nn.Module, config: TrainConfig) -> Auxiliary | None:
    """Return what a hierarchy learns beside the classes."""
    if not (isinstance(network, HierarchicalSegmenter) and config.auxiliary.used):
        return None
    return Auxiliary(network, config, network.bands)


def _latents(network: nn.Module, config: TrainConfig) -> LatentLearning | None:
    """Return what draws the latents of a hierarchy by labels."""
    if not (isinstance(network, HierarchicalSegmenter) and network.latents is not None):
        return None
    return LatentLearning(network, config)


def _averaging(fit: ChipDataset, config: TrainConfig) -> list[Callback]:
    """Return what averages the weights of a run."""
    if config.training.average == "swa":
        return [LateMean(fit, config)]
    decay = config.training.ema_decay
    return [AveragedWeights(decay)] if decay > 0 else []


def _memory(fit: ChipDataset, seed: int) -> list[Callback]:
    """Return what remembers, from epoch to epoch, which chips are hard."""
    match fit.places:
        case HardPlaces() as places:
            return [RememberHardChips(places)]
        case PacedPlaces() as places:
            return [Pace(places, seed, len(fit))]
        case _:
            return []


class _NextEpoch(Callback):
    """Tells the samples which epoch begins."""

    def __init__(self, samples: Samples[Any]) -> None:
        self.samples = samples

    def on_train_epoch_start(self, trainer: Trainer, *_: object) -> None:
        self.samples.set_epoch(trainer.current_epoch)


class _Stop(Callback):
    """Remembers what broke a run off: Lightning turns an interruption into an exit."""

    exception: BaseException | None = None

    def on_exception(self, trainer: Trainer, task: object, exception: BaseException) -> None:
        self.exception = exception


def _trainer(config: TrainConfig, callbacks: list[Callback], rank: Rank) -> Trainer:
    device = choose_device()
    precision = choose_precision(config.training.precision, device)
    return Trainer(
        accelerator=device.type,
        devices=rank.of,
        strategy="auto" if rank.of == 1 else _shared(),
        precision="bf16-mixed" if precision == "bf16" else "32-true",
        max_epochs=config.training.epochs,
        callbacks=callbacks,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
    )


def _shared() -> DDPStrategy:
    """Return how processes share a training: gradients are averaged, running statistics are not.

    Stages may freeze and thaw on the way, so which weights have a gradient is found out each time;
    the statistics are the task's, which judges different numbers of batches in each process.
    """
    known = inspect.signature(DistributedDataParallel).parameters
    copying = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"
    more: dict[str, Any] = {copying: False, "find_unused_parameters": True}
    return DDPStrategy(cluster_environment=LightningEnvironment(), **more)


@contextmanager
def _interruptible(callbacks: list[Callback]) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM leave as what they are, and work again afterwards."""
    stop = _Stop()
    callbacks.append(stop)
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as leaving:
        raise stop.exception or leaving from None
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, handler)


@contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Keep Lightning's advice away from users, who can do nothing about it."""
    log = logging.getLogger("lightning.pytorch")
    level = log.level
    log.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PossibleUserWarning)
        warnings.filterwarnings("ignore", message="`isinstance.treespec", module="lightning")
        try:
            yield
        finally:
            log.setLevel(level)
