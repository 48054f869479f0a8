"""Runs with a curriculum: what their log says, and that they go on as they were."""

from pathlib import Path
from typing import Any

import pytest
from roof_scenes import MakeConfig

from geohier.models.manifest import SUMS
from geohier.training.fit import train
from geohier.training.log import read_rows

BIG = {"size_px": 64, "batch_size": 4, "per_epoch": 16}


@pytest.mark.parametrize("difficulty", ["entropy", "loss", "scale"])
def test_the_log_shows_the_difficulty_rising(
    make_config: MakeConfig, tmp_path: Path, difficulty: str
) -> None:
    config = make_config(
        curriculum={"difficulty": difficulty, "start": 0.1, "epochs": 2}, chips=BIG
    )
    train(config, tmp_path / "run", quiet=True)
    found = [row["difficulty"] for row in read_rows(tmp_path / "run")]
    assert found == sorted(found)
    assert found[0] < 0.2 < 0.35 < found[-1]


def test_without_a_curriculum_the_log_says_nothing_of_it(
    make_config: MakeConfig, tmp_path: Path
) -> None:
    train(make_config(training={"epochs": 1}), tmp_path / "run", quiet=True)
    assert "difficulty" not in read_rows(tmp_path / "run")[0]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_run_that_was_broken_off_equals_an_unbroken_one(
    make_config: MakeConfig, tmp_path: Path, workers: int
) -> None:
    config = make_config(
        curriculum={"difficulty": "loss", "start": 0.1, "epochs": 3},
        chips=BIG,
        training={"workers": workers},
    )
    whole = train(config, tmp_path / "whole", quiet=True)
    ends = 0

    def stop(*_: object) -> None:
        nonlocal ends
        ends += 1
        if ends == 2:
            raise KeyError("stop")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("geohier.training.task.SegmentationTask.on_train_epoch_end", stop)
        with pytest.raises(KeyError):
            train(config, tmp_path / "broken", quiet=True)
    resumed = train(config, tmp_path / "broken", resume=True, quiet=True)
    assert (resumed / SUMS).read_text() == (whole / SUMS).read_text()


@pytest.mark.parametrize(
    ("sections", "says"),
    [
        ({"curriculum": {"difficulty": "loss"}, "chips": {"sampler": "hard"}}, "choose one"),
        ({"curriculum": {"difficulty": "loss"}, "augment": {"cutmix": 0.5}}, "cutmix mixes"),
        ({"chips": {"sampler": "hard"}, "augment": {"cutmix": 0.5}}, "cutmix mixes"),
        ({"curriculum": {"difficulty": "scale"}, "augment": {"scale": [1, 1]}}, "needs a range"),
    ],
)
def test_a_curriculum_without_a_choice_is_refused(
    make_config: MakeConfig, sections: dict[str, Any], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        make_config(**sections)
