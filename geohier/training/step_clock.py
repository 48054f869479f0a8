"""How long a step takes by itself, without the wait for chips and without what judges epochs."""

import json
import time
from pathlib import Path

from lightning.pytorch import Callback

from geohier.raster.durable import write_durably

CLOCK = "steps.json"


class StepClock(Callback):
    """Times the steps of a run, and keeps their mean in its folder after each epoch.

    A run that went on is timed anew: a mean needs no more than some of its steps.

    Args:
        folder: the run's folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._start = self._seconds = 0.0
        self._steps = 0

    def on_train_batch_start(self, *_: object) -> None:
        self._start = time.monotonic()

    def on_train_batch_end(self, *_: object) -> None:
        self._seconds += time.monotonic() - self._start
        self._steps += 1

    def on_train_epoch_end(self, *_: object) -> None:
        mean = self._seconds / max(self._steps, 1)
        write_durably(self.folder / CLOCK, (json.dumps({"seconds_per_step": mean}) + "\n").encode())


def seconds_per_step(folder: Path) -> float | None:
    """Return the mean that a clock left in a run's folder; None if none ran."""
    path = folder / CLOCK
    if not path.is_file():
        return None
    return float(json.loads(path.read_text(encoding="utf-8"))["seconds_per_step"])
