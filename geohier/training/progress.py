"""What a user sees of a run while it goes on: on stderr, a line per epoch and what is left."""

import sys
import time
from collections.abc import Callable, Sequence
from typing import TextIO

from lightning.pytorch import Callback, LightningModule, Trainer

from geohier.training.learning import LearningTask
from geohier.training.log import SCORES, EpochLog, Row, score_name

MOST_NOTES = 6
"""Notes that are shown before a run: one per scene would be too many."""

EVERY_S = 1.0
"""How often the line of the running epoch is written anew."""


class ShowProgress(Callback):
    """Shows the running epoch on a terminal, and elsewhere nothing until it ends.

    Args:
        log: has the row of an epoch when it ends: it must stand before this in the callbacks.
        epochs: epochs that the run may last.
        stream: where to write.
        quality: says how good the last of the epochs was.
    """

    def __init__(
        self,
        log: EpochLog,
        epochs: int,
        stream: TextIO | None = None,
        quality: Callable[[Sequence[Row]], str] | None = None,
    ) -> None:
        self.kept = log
        self.epochs = epochs
        self.stream = stream or sys.stderr
        self.quality = quality or _choose_score
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
        assert isinstance(task, LearningTask)
        now = time.monotonic()
        if not self.live or now - self._shown < EVERY_S:
            return
        self._shown = now
        taken = now - self._epoch_start
        share = (batch_idx + 1) / max(1, trainer.num_training_batches)
        loss = task.epoch["loss"] / max(1, task.epoch["steps"])
        rate = task.epoch["pixels"] / taken / 1e6
        self._write(
            f"epoch {trainer.current_epoch + 1}/{self.epochs}: {share:4.0%}, loss {loss:.3f}, "
            f"{rate:.2f} Mpx/s, {readable(taken / share - taken)} left in this epoch",
            end="",
        )

    def on_train_epoch_end(self, *_: object) -> None:
        row, ended = self.kept.rows[-1], len(self.kept.rows)
        each = (time.monotonic() - self._start) / (ended - self._done)
        self._write(
            f"epoch {ended}/{self.epochs}: loss {row['loss']:.3f}, {self.quality(self.kept.rows)}, "
            f"{row['mpx_per_s']:.2f} Mpx/s, {row['waiting']:.0%} waiting for chips, at most "
            f"{readable(each * (self.epochs - ended))} left"
        )

    def _write(self, line: str, end: str = "\n") -> None:
        start = "\r\x1b[K" if self.live else ""
        print(start + line, end=end, file=self.stream, flush=True)


def _choose_score(rows: Sequence[Row]) -> str:
    name = score_name(rows[-1])
    best = max(rows, key=lambda one: one[name] or 0)
    shown = SCORES[name].removeprefix("mean ")
    return f"choose {shown} {rows[-1][name]:.3f} (best {best[name]:.3f} at {best['epoch']})"


def say_notes(notes: Sequence[str], stream: TextIO | None = None) -> None:
    """Write the first few notes, and how many there are besides."""
    shown = [f"note: {note}" for note in notes[:MOST_NOTES]]
    if len(notes) > MOST_NOTES:
        shown.append(f"... and {len(notes) - MOST_NOTES} more notes")
    for line in shown:
        print(line, file=stream or sys.stderr)


def readable(seconds: float) -> str:
    """Return a duration for people.

    Example:
        >>> readable(42), readable(150), readable(9000)
        ('42 s', '2 min', '2.5 h')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
