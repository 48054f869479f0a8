"""What each epoch of learning without labels brought: its row, its line on stderr, its curve."""

import io
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from lightning.pytorch import Callback, LightningModule, Trainer

from geohier.raster.durable import write_durably
from geohier.training.log import EpochLog, Row
from geohier.training.pretrain_task import PretrainTask
from geohier.training.progress import EVERY_S, readable


class PretrainLog(EpochLog):
    """Keeps a row per epoch, with the PSNR of each level and its gain over the mean predictor."""

    def row(self, task: LightningModule, epoch: int, seconds: float, waiting: float) -> Row:
        """Return the row of an epoch; terms are means over its steps."""
        assert isinstance(task, PretrainTask)
        sums, steps = task.epoch, max(task.epoch["steps"], 1)
        contrast = {"contrast_spread": sums["spread"] / steps} if "contrast" in task.weights else {}
        return {
            "epoch": epoch + 1,
            **{name: sums[name] / steps for name in ("loss", *task.weights)},
            **contrast,
            **_levels(task),
            "learning_rate": task.learning_rate(),
            "steps": int(sums["steps"]),
            "broken_steps": int(sums["broken"]),
            "seconds": round(seconds, 3),
            "mpx_per_s": round(sums["pixels"] / seconds / 1e6, 4),
            "waiting": round(waiting, 4),
        }


def _levels(task: PretrainTask) -> Row:
    if "reconstruction" not in task.weights:
        return {}
    gains = task.gains()
    return {
        "gain": sum(gains) / len(gains),
        **{f"psnr.level_{at}": value for at, value in enumerate(task.errors.psnr())},
        **{f"gain.level_{at}": value for at, value in enumerate(gains)},
    }


class ShowPretraining(Callback):
    """Shows the running epoch on a terminal, and elsewhere nothing until it ends.

    Args:
        log: has the row of an epoch when it ends: it must stand before this in the callbacks.
        epochs: epochs that the run may last.
        stream: where to write.
    """

    def __init__(self, log: EpochLog, epochs: int, stream: TextIO | None = None) -> None:
        self.kept = log
        self.epochs = epochs
        self.stream = stream or sys.stderr
        self.live = self.stream.isatty()
        self._start, self._done = time.monotonic(), len(log.rows)
        self._epoch_start = self._shown = self._start

    def on_train_epoch_start(self, *_: object) -> None:
        self._epoch_start = self._shown = time.monotonic()

    def on_train_batch_end(
        self,
        trainer: Trainer,
        task: LightningModule,
        outputs: object,
        batch: object,
        batch_idx: int,
    ) -> None:
        assert isinstance(task, PretrainTask)
        now = time.monotonic()
        if not self.live or now - self._shown < EVERY_S:
            return
        self._shown = now
        taken = now - self._epoch_start
        share = (batch_idx + 1) / max(1, trainer.num_training_batches)
        self._write(
            f"epoch {trainer.current_epoch + 1}/{self.epochs}: {share:4.0%}, loss "
            f"{task.epoch['loss'] / max(1, task.epoch['steps']):.3f}, "
            f"{task.epoch['pixels'] / taken / 1e6:.2f} Mpx/s, "
            f"{readable(taken / share - taken)} left in this epoch",
            end="",
        )

    def on_train_epoch_end(self, *_: object) -> None:
        row, ended = self.kept.rows[-1], len(self.kept.rows)
        each = (time.monotonic() - self._start) / (ended - self._done)
        self._write(
            f"epoch {ended}/{self.epochs}: loss {row['loss']:.3f}{_quality(row)}, "
            f"{row['mpx_per_s']:.2f} Mpx/s, {row['waiting']:.0%} waiting for chips, at most "
            f"{readable(each * (self.epochs - ended))} left"
        )

    def _write(self, line: str, end: str = "\n") -> None:
        start = "\r\x1b[K" if self.live else ""
        print(start + line, end=end, file=self.stream, flush=True)


def _quality(row: Row) -> str:
    gains = [value for name, value in row.items() if name.startswith("gain.level_")]
    if not gains:
        return f", views spread {row['contrast_spread']:.2f} of 1"
    levels = " ".join(f"{value:.1f}" for value in gains)
    return f", {levels} dB above the mean predictor (levels from fine to coarse)"


def draw_pretraining(rows: Sequence[Row], path: Path) -> None:
    """Write a PNG of the rows of a run: the loss, and each level's gain over the mean predictor."""
    from matplotlib.figure import Figure  # a second to import

    epochs = [row["epoch"] for row in rows]
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    losses = figure.add_subplot()
    losses.plot(epochs, [row["loss"] for row in rows], color="0.6", label="loss, fit")
    losses.set(xlabel="epoch", ylabel="loss", ylim=(0, None))
    levels = [name for name in rows[0] if name.startswith("gain.level_")]
    if levels:
        gains = losses.twinx()
        for name in levels:
            label = name.removeprefix("gain.").replace("_", " ")
            gains.plot(epochs, [row[name] for row in rows], label=label)
        gains.set(ylabel="dB above the mean predictor, choose blocks")
    figure.legend(loc="outside upper center", ncols=len(levels) + 1, frameon=False)
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=120, metadata={"Software": None})
    write_durably(path, image.getvalue())
