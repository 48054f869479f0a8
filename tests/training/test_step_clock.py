"""The clock of steps, with a time that a test tells."""

from pathlib import Path

import pytest

from geohier.training.step_clock import StepClock, seconds_per_step


def test_only_the_steps_themselves_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert seconds_per_step(tmp_path) is None
    times = iter([10, 12, 20, 24, 100, 103])
    monkeypatch.setattr("geohier.training.step_clock.time.monotonic", lambda: next(times))
    clock = StepClock(tmp_path)
    for _ in range(2):
        clock.on_train_batch_start()
        clock.on_train_batch_end()
    clock.on_train_epoch_end()
    assert seconds_per_step(tmp_path) == (2 + 4) / 2
    clock.on_train_batch_start()
    clock.on_train_batch_end()
    clock.on_train_epoch_end()
    assert seconds_per_step(tmp_path) == (2 + 4 + 3) / 3
