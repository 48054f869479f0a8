import io
from types import SimpleNamespace
from typing import Any

import pytest

from geohier.training import progress
from geohier.training.progress import MOST_NOTES, ShowProgress, say_notes
from geohier.training.task import SegmentationTask


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def task() -> SegmentationTask:
    task = SegmentationTask.__new__(SegmentationTask)  # without network and config
    task.__dict__["epoch"] = {"loss": 3.0, "steps": 2, "pixels": 4e6}
    return task


def show_two_epochs(
    stream: io.StringIO, task: SegmentationTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(0, 1000, 2))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(clock)))
    log: Any = SimpleNamespace(rows=[])
    shown = ShowProgress(log, 3, stream)
    trainer: Any = SimpleNamespace(current_epoch=0, num_training_batches=2)
    for epoch, iou in ((1, 0.7), (2, 0.6)):
        shown.on_train_epoch_start()
        for at in range(2):
            shown.on_train_batch_end(trainer, task, None, None, at)
        row = {"epoch": epoch, "loss": 0.5, "choose_iou": iou, "mpx_per_s": 1.25, "waiting": 0.034}
        log.rows.append(row)
        shown.on_train_epoch_end()


def test_without_a_terminal_there_is_one_line_per_epoch(
    task: SegmentationTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = io.StringIO()
    show_two_epochs(stream, task, monkeypatch)
    first, second = stream.getvalue().splitlines()
    assert first.startswith("epoch 1/3: loss 0.500, choose IoU 0.700 (best 0.700 at 1), 1.25 Mpx/s")
    assert "3% waiting for chips, at most" in first
    assert "choose IoU 0.600 (best 0.700 at 1)" in second
    assert second.endswith("left")
    assert "\r" not in stream.getvalue()


def test_a_terminal_sees_the_running_epoch_in_one_line_that_is_written_anew(
    task: SegmentationTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = Terminal()
    show_two_epochs(stream, task, monkeypatch)
    assert stream.getvalue().count("\n") == 2
    running = stream.getvalue().split("\n")[0].split("\r")[1]
    assert running.endswith("epoch 1/3:  50%, loss 1.500, 2.00 Mpx/s, 2 s left in this epoch")


def test_a_few_notes_are_shown_and_the_others_counted() -> None:
    few, many = io.StringIO(), io.StringIO()
    say_notes(["a", "b"], few)
    say_notes([str(at) for at in range(MOST_NOTES + 3)], many)
    assert few.getvalue() == "note: a\nnote: b\n"
    assert many.getvalue().splitlines()[-1] == "... and 3 more notes"
    assert len(many.getvalue().splitlines()) == MOST_NOTES + 1
