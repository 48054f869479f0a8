"""Samplers, losses and random changes in whole runs."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from roof_scenes import SIDE, MakeConfig, write_pair

from geohier.data.chips import Chip
from geohier.data.samplers import HardPlaces
from geohier.data.sampling import Field, RandomPlaces
from geohier.geo.window import Window
from geohier.models.manifest import SUMS
from geohier.training import log as logging
from geohier.training.fit import train
from geohier.training.hard_chips import RememberHardChips
from geohier.training.log import EpochLog, read_rows
from geohier.training.task import SegmentationTask

CLOCK = {"seconds", "mpx_per_s", "waiting"}


def course(out: Path) -> list[dict[str, Any]]:
    return [{k: v for k, v in row.items() if k not in CLOCK} for row in read_rows(out)]


class StoppedError(Exception):
    """Stands for whatever breaks a run off."""


@pytest.mark.parametrize("workers", [0, 1])
def test_a_run_that_remembers_hard_chips_equals_an_unbroken_one_when_it_is_resumed(
    make_config: MakeConfig, tmp_path: Path, workers: int
) -> None:
    config = make_config(
        chips={"sampler": "hard", "hard_share": 0.9},
        augment={"band_dropout": 0.2, "noise": 0.1, "haze": 0.2},
        training={"epochs": 4, "workers": workers},
    )
    whole = train(config, tmp_path / "whole", quiet=True)
    step = SegmentationTask.training_step

    def broken_step(self: SegmentationTask, batch: Chip, batch_idx: int) -> None:
        if (self.current_epoch, batch_idx) == (2, 1):
            raise StoppedError
        step(self, batch, batch_idx)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SegmentationTask, "training_step", broken_step)
        with pytest.raises(StoppedError):
            train(config, tmp_path / "broken", quiet=True)
    resumed = train(config, tmp_path / "broken", resume=True, quiet=True)
    assert (resumed / SUMS).read_text() == (whole / SUMS).read_text()
    assert course(tmp_path / "broken") == course(tmp_path / "whole")


def test_hard_chips_are_drawn_again_from_the_second_epoch_on(
    make_config: MakeConfig, tmp_path: Path
) -> None:
    seen = {}
    for sampler in ("uniform", "hard"):
        config = make_config(chips={"sampler": sampler, "hard_share": 0.9}, training={"epochs": 2})
        train(config, tmp_path / sampler, quiet=True)
        seen[sampler] = [
            (row["labelled"], row["seen.roof"]) for row in read_rows(tmp_path / sampler)
        ]
    assert seen["hard"][0] == seen["uniform"][0]
    assert seen["hard"][1] != seen["uniform"][1]


def test_losses_are_remembered_of_the_chips_that_had_them() -> None:
    """Two batches of three chips, the fifth of which has no label."""
    field = Field(height=99, width=99, parts=(Window(row_off=0, col_off=0, height=99, width=99),))
    places = HardPlaces(RandomPlaces([field], 32), share=0.5, seed=0, length=6)
    memory = RememberHardChips(places)
    task, trainer = SegmentationTask.__new__(SegmentationTask), SimpleNamespace(current_epoch=4)
    memory.on_train_epoch_start(trainer, task)  # type: ignore[arg-type]
    for at, losses in enumerate(([1.0, 2.0, 3.0], [4.0, np.nan, 6.0])):
        task.__dict__["chip_losses"] = torch.tensor(losses)
        memory.on_train_batch_end(trainer, task, None, None, at)  # type: ignore[arg-type]
    memory.on_train_epoch_end(trainer, task)  # type: ignore[arg-type]
    chips, kept = places.memory
    assert chips.tolist() == [[4, at] for at in (0, 1, 2, 3, 5)]
    assert kept.tolist() == [1, 2, 3, 4, 6]


def test_the_share_of_each_class_that_a_sampler_reaches_is_logged(
    make_config: MakeConfig, scenes: Path, tmp_path: Path
) -> None:
    """A class of 2 % of the labelled pixels, in one corner of each scene."""
    mask = np.zeros((SIDE, SIDE), int)
    mask[:, SIDE // 2 :] = 255
    mask[8:27, 8:27] = 1
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        write_pair(scenes / "train", name, 90 + rng.normal(0, 9, (2, SIDE, SIDE)), mask)
    rows = {}
    for sampler in ("uniform", "balanced"):
        config = make_config(
            chips={"size_px": 32, "sampler": sampler, "per_epoch": 64, "balance_cap": 100},
            augment={"scale": [1, 1]},
            training={"epochs": 1, "block_px": 96},
        )
        train(config, tmp_path / sampler, quiet=True)
        (rows[sampler],) = read_rows(tmp_path / sampler)
        seen = rows[sampler]["seen.roof"] + rows[sampler]["seen.ground"]
        assert seen == pytest.approx(1, abs=1e-5)
    assert rows["uniform"]["seen.roof"] < 0.05
    assert rows["balanced"]["seen.roof"] > 0.1
    assert rows["uniform"]["labelled"] < rows["balanced"]["labelled"] <= 1


def test_losses_are_summed_by_their_weights_and_each_is_logged(
    make_config: MakeConfig, tmp_path: Path
) -> None:
    weights = {"cross_entropy": 0.0, "focal": 0.5, "tversky": 1.0, "lovasz": 0.25, "boundary": 2.0}
    stated = weights | {"focal": {"weight": 0.5, "class_weights": "balanced"}, "dice": 0}
    config = make_config(objectives=stated, training={"epochs": 1, "precision": "fp32"})
    train(config, tmp_path / "run", quiet=True)
    (row,) = read_rows(tmp_path / "run")
    assert "cross_entropy" not in row
    used = {name: weight for name, weight in weights.items() if weight}
    assert row["loss"] == pytest.approx(sum(w * row[name] for name, w in used.items()), rel=1e-5)


def test_the_share_of_time_without_chips_is_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two batches, each awaited for a second and worked on for three; then comes judging."""
    clock = iter([0, 10, 11, 14, 15, 18, 40])
    monkeypatch.setattr(logging.time, "monotonic", lambda: float(next(clock)))

    def row_of(task: object, epoch: int, seconds: float, waiting: float) -> dict[str, float]:
        return {"epoch": epoch + 1, "seconds": seconds, "waiting": waiting}

    monkeypatch.setattr(logging, "row_of", row_of)
    task = SegmentationTask.__new__(SegmentationTask)
    log = EpochLog(tmp_path)
    log.on_train_epoch_start()
    for _ in range(2):
        log.on_train_batch_start()
        log.on_train_batch_end()
    trainer: Any = SimpleNamespace(current_epoch=0)
    log.on_train_epoch_end(trainer, task)
    assert log.rows == [{"epoch": 1, "seconds": 30, "waiting": 2 / 8}]
