"""What each epoch brought, one row each, as metrics.jsonl and metrics.csv."""

import csv
import io
import json
import time
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from geohier.raster.durable import append_durably, write_durably
from geohier.training.task import SegmentationTask

type Row = dict[str, Any]

JSONL = "metrics.jsonl"
CSV = "metrics.csv"

SCORES = {"choose_iou": "mean IoU", "choose_f1": "F1"}
"""What the columns are called in which a task has its score on the choose blocks."""


class EpochLog(Callback):
    """Keeps the rows of a run, oldest first, in memory and in its folder.

    Args:
        folder: the run's folder.
        epochs: whole epochs of the run so far: later rows, of an epoch that was cut off, are
            dropped.
    """

    def __init__(self, folder: Path, epochs: int = 0) -> None:
        self.folder = folder
        self.rows = read_rows(folder)[:epochs]
        self._start = self._idle_since = time.monotonic()
        self._waited = 0.0
        write_durably(folder / JSONL, "".join(map(_line, self.rows)).encode())
        write_durably(folder / CSV, self._table().encode())

    def on_train_epoch_start(self, *_: object) -> None:
        self._start = self._idle_since = time.monotonic()
        self._waited = 0.0

    def on_train_batch_start(self, *_: object) -> None:
        self._waited += time.monotonic() - self._idle_since

    def on_train_batch_end(self, *_: object) -> None:
        self._idle_since = time.monotonic()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        seconds = time.monotonic() - self._start
        waiting = self._waited / max(self._idle_since - self._start, 1e-9)
        row = self.row(pl_module, trainer.current_epoch, seconds, waiting)
        self.rows.append(row)
        append_durably(self.folder / JSONL, _line(row).encode())
        write_durably(self.folder / CSV, self._table().encode())

    def row(self, task: LightningModule, epoch: int, seconds: float, waiting: float) -> Row:
        """Return the row of an epoch."""
        assert isinstance(task, SegmentationTask)
        return row_of(task, epoch, seconds, waiting)

    def _table(self) -> str:
        text = io.StringIO()
        if self.rows:
            keys = dict.fromkeys(key for row in self.rows for key in row)
            table = csv.DictWriter(text, keys, lineterminator="\n")
            table.writeheader()
            table.writerows(self.rows)
        return text.getvalue()


def row_of(task: SegmentationTask, epoch: int, seconds: float, waiting: float) -> Row:
    """Return the row of an epoch; losses are means.

    Args:
        task: has the sums of the epoch.
        epoch: its number from 0.
        seconds: how long it took, judging included.
        waiting: share of the time of fitting in which no chips were there yet.
    """
    sums = task.epoch
    labelled = int(task.seen.sum())
    shares = zip(task.config.data.classes, task.seen.tolist(), strict=True)
    losses = {name: sums[name] / max(sums["steps"], 1) for name in ("loss", *task.terms)}
    return {
        "epoch": epoch + 1,
        **losses,
        **task.judged(),
        "labelled": round(labelled / max(sums["pixels"], 1), 6),
        **{f"seen.{one.name}": round(count / max(labelled, 1), 6) for one, count in shares},
        **({} if task.difficulty is None else {"difficulty": round(task.difficulty, 4)}),
        "learning_rate": task.learning_rate(),
        "steps": int(sums["steps"]),
        "unlabelled_batches": int(sums["unlabelled"]),
        "broken_steps": int(sums["broken"]),
        "seconds": round(seconds, 3),
        "mpx_per_s": round(sums["pixels"] / seconds / 1e6, 4),
        "waiting": round(waiting, 4),
    }


def score_name(row: Row) -> str:
    """Return the column of the score that chooses the epoch: `choose_iou`, or `choose_f1`."""
    return next(name for name in SCORES if name in row)


def read_rows(folder: Path) -> list[Row]:
    """Return the rows of a run; a last line that was cut off is left out."""
    path = folder / JSONL
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.is_file() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


def _line(row: Row) -> str:
    return json.dumps(row) + "\n"
