"""A training that is stopped now and then for steps of the bare network; see `throughput.py`."""

import copy
import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import torch
from lightning.pytorch import Callback
from torch import Tensor, nn

from geohier.config.load import load_config
from geohier.config.schema import TrainConfig
from geohier.data.chips import Chip, choose_chips, fit_chips
from geohier.data.prepare import prepare
from geohier.efficiency.precision import choose_device, choose_precision
from geohier.objectives.segmentation import SegmentationLoss, weigh
from geohier.training.checkpoint import KeepBestAndLast, RunProgress
from geohier.training.fit import first_network, loss_of
from geohier.training.log import EpochLog
from geohier.training.loop import run_epochs
from geohier.training.schedule import optimizer
from geohier.training.start import find_start
from geohier.training.task import SegmentationTask

CONFIGS = Path(__file__).resolve().parents[2] / "configs"

type Json = dict[str, Any]
type Batch = tuple[Tensor, Tensor]


def run(config: str, steps: int, turns: int) -> Json | None:
    """Return the chips per second of a training and of bare steps; None without the data."""
    if not os.environ.get("GEOHIER_DATA"):
        return None
    start = find_start(load_config(CONFIGS / f"{config}.yaml", ["training.epochs=1"]))
    settings = start.config
    lasting = {"per_epoch": settings.chips.batch_size * (steps * turns + 1)}
    chips = settings.chips.model_copy(update=lasting | {"megapixels_per_epoch": None})
    settings = settings.model_copy(update={"chips": chips})
    data = prepare(settings)
    network, _ = first_network(start, data)
    loss = loss_of(settings, data)
    watch = InTurns(settings, loss, steps)
    choose = choose_chips(data, settings)
    choose.length = 1  # judging is not timed
    with tempfile.TemporaryDirectory(prefix="geohier-bench-") as folder:
        keep = KeepBestAndLast(Path(folder), settings.training, RunProgress())
        watchers = [EpochLog(Path(folder)), watch]
        run_epochs(network, settings, loss, fit_chips(data, settings), choose, keep, watchers)
    return {
        "size_px": settings.chips.size_px,
        "batch_size": settings.chips.batch_size,
        "threads": torch.get_num_threads(),
        "device": choose_device().type,
        "precision": choose_precision(settings.training.precision, choose_device()),
        "workers": settings.training.workers,
        **watch.found(),
    }


class InTurns(Callback):
    """Times a training, and after every few steps as many bare ones on the same batches.

    The first step, in which everything is set up, is not timed.

    Args:
        config: of the run.
        loss: what is minimised.
        steps: steps of a turn.
    """

    def __init__(self, config: TrainConfig, loss: SegmentationLoss, steps: int) -> None:
        self.config = config
        self.loss = loss
        self.steps = steps
        self.turns: list[Mapping[str, float]] = []
        self._begin()

    def on_train_batch_start(
        self, trainer: object, pl_module: object, batch: Chip, batch_idx: int
    ) -> None:
        self.waited += time.perf_counter() - self.idle_since
        self.batches.append((batch["image"], batch["mask"]))

    def on_train_batch_end(
        self,
        trainer: object,
        pl_module: SegmentationTask,
        outputs: object,
        batch: Chip,
        batch_idx: int,
    ) -> None:
        if batch_idx % self.steps == 0:
            wait_for_gpu()
            training, used = time.perf_counter() - self.begun, processor_s() - self.used
            with nobody_cutting_chips():
                bare = BareSteps(copy.deepcopy(pl_module.network), self.config, self.loss)
                bare.seconds(self.batches[:1])  # the first step makes the optimiser's means
                before = processor_s()
                in_memory = bare.seconds(self.batches)
                bare_used = processor_s() - before
            if batch_idx:
                chips = sum(len(labels) for _, labels in self.batches)
                self.turns.append(
                    {
                        "chips": chips,
                        "training": training,
                        "in_memory": in_memory,
                        "waited": self.waited,
                        "processor_training": used,
                        "processor_in_memory": bare_used,
                    }
                )
            self._begin()
        self.idle_since = time.perf_counter()

    def _begin(self) -> None:
        self.batches: list[Batch] = []
        self.waited = 0.0
        self.used = processor_s()
        self.begun = self.idle_since = time.perf_counter()

    def found(self) -> Json:
        """Return chips per second of all turns together, and each turn."""
        total = {key: sum(one[key] for one in self.turns) for key in self.turns[0]}
        return {
            "training": total["chips"] / total["training"],
            "in_memory": total["chips"] / total["in_memory"],
            "waiting": total["waited"] / total["training"],
            "processor": total["processor_in_memory"] / total["processor_training"],
            "each": self.turns,
        }


class BareSteps:
    """Steps of a network, with nothing around them.

    Args:
        network: changed in place.
        config: optimiser and number format.
        loss: what is minimised.
    """

    def __init__(self, network: nn.Module, config: TrainConfig, loss: SegmentationLoss) -> None:
        self.network = network
        self.loss = loss
        self.optimizer = optimizer(network, config.training)
        device = choose_device()
        bf16 = choose_precision(config.training.precision, device) == "bf16"
        self.cast = torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16)

    def seconds(self, batches: Sequence[Batch]) -> float:
        """Return how long a step on each batch takes."""
        start = time.perf_counter()
        for image, labels in batches:
            self.optimizer.zero_grad()
            with self.cast:
                logits = self.network(image.contiguous(memory_format=torch.channels_last))
                loss = weigh(self.loss.terms(logits, labels), self.loss.weights)
            loss.backward()
            self.optimizer.step()
        wait_for_gpu()
        return time.perf_counter() - start


@contextmanager
def nobody_cutting_chips() -> Iterator[None]:
    """Stop the processes that cut chips: what they do meanwhile would be in neither account."""
    cutters = psutil.Process().children(recursive=True)
    for one in cutters:
        one.suspend()
    try:
        yield
    finally:
        for one in cutters:
            one.resume()


def processor_s() -> float:
    """Return the processor time of this process and of those that cut chips so far."""
    here = psutil.Process()
    times = [one.cpu_times() for one in (here, *here.children(recursive=True))]
    return sum(one.user + one.system for one in times)


def wait_for_gpu() -> None:
    """See that all that was asked of a GPU is done."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
