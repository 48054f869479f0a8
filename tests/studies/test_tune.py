"""Searches of tiny configs. A score is stood in for by what the values of a trial say."""

import csv
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml
from lightning.pytorch import Callback

from geohier.config.load import config_hash, load_config
from geohier.config.schema import TrainConfig
from geohier.errors import (
    ConfigError,
    InputError,
    ModelError,
    OutputExistsError,
    OutputLockedError,
    ResourceError,
)
from geohier.raster.lock import OutputLock
from geohier.studies.tune import tune
from geohier.studies.tune_report import draw_search

pytest.importorskip("optuna", reason="the extra tune is not installed")

SPACE = """
training.learning_rate: {low: 1e-4, high: 1e-2, log: true}
chips.batch_size: {low: 2, high: 16, step: 2}
training.patience: [5, null]
"""
EPOCHS = 4


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "configs" / "roofs.yaml"
    path.parent.mkdir()
    path.write_text(
        "data: {classes: {ground: 0, roof: 1}}\n"
        f"training: {{epochs: {EPOCHS}, patience: 5}}\nchips: {{batch_size: 4}}\n"
    )
    return path


@pytest.fixture
def space(tmp_path: Path) -> Path:
    path = tmp_path / "space.yaml"
    path.write_text(SPACE)
    return path


class Killed(BaseException):
    """Stands for a kill: nothing that catches errors catches it."""


class Trainings:
    """Stands in for `train`: scores rise over the epochs to what the batch size says."""

    def __init__(self) -> None:
        self.configs: list[TrainConfig] = []
        self.killed_in: int | None = None
        self.errors: dict[int, Exception] = {}

    def __call__(
        self, config: TrainConfig, out: Path, *, watchers: Sequence[Callback], **options: object
    ) -> Path:
        assert options.pop("resume")
        assert options == {"quiet": True, "allow_download": False}
        at = len(self.configs)
        self.configs.append(config)
        (out / "checkpoints").mkdir(parents=True, exist_ok=True)
        if at in self.errors:
            raise self.errors[at]
        with (out / "metrics.jsonl").open("w") as rows:
            for epoch in range(1, config.training.epochs + 1):
                score = config.chips.batch_size * epoch / config.training.epochs / 20
                rows.write(f'{{"epoch": {epoch}, "choose_iou": {score}}}\n')
                rows.flush()
                for one in watchers:
                    one.on_train_epoch_end(Still(), None)  # type: ignore[arg-type]
                if at == self.killed_in and epoch == 2:
                    raise Killed
        return out / "model"

    @property
    def sizes(self) -> list[int]:
        return [one.chips.batch_size for one in self.configs]

    @property
    def rates(self) -> list[float]:
        return [one.training.learning_rate for one in self.configs]


class Still:
    should_stop = False


@pytest.fixture(autouse=True)
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures take longer than all the rest of a search: one test draws one."""
    monkeypatch.setattr("geohier.studies.tune.draw_search", lambda *_: None)


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> Trainings:
    made = Trainings()
    monkeypatch.setattr("geohier.studies.tune.train", made)
    return made


def test_the_config_as_it_is_comes_first_and_the_best_is_written_as_a_config(
    config: Path, space: Path, tmp_path: Path, trainings: Trainings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("geohier.studies.tune.draw_search", draw_search)
    out = tmp_path / "search"
    tried = tune(config, space, out, trials=6, overrides=["augment.gain=0"])
    assert [one.number for one in tried] == list(range(6))
    assert tried[0].values == {
        "training.learning_rate": 1e-3,
        "chips.batch_size": 4,
        "training.patience": 5,
    }
    best = max(tried, key=lambda one: one.score or 0)
    assert best.score == max(trainings.sizes) / 20
    text = (out / "best.yaml").read_text()
    assert f"# The best of 6 trials: trial {best.number}, mean IoU {best.score:.4f}" in text
    assert yaml.safe_load(text).keys() == {"extends", "training", "chips", "augment", "data"}
    again = load_config(out / "best.yaml")
    assert config_hash(again) == config_hash(trainings.configs[best.number])
    assert again.data.root.samefile(config.parent)
    assert (out / "trials.png").read_bytes().startswith(b"\x89PNG")


def test_the_table_has_a_row_for_each_trial(
    config: Path, space: Path, tmp_path: Path, trainings: Trainings
) -> None:
    tune(config, space, tmp_path / "search", trials=3)
    with (tmp_path / "search" / "trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["chips.batch_size"]) for row in rows] == trainings.sizes
    assert [float(row["training.learning_rate"]) for row in rows] == trainings.rates
    assert [float(row["score"]) for row in rows] == [size / 20 for size in trainings.sizes]
    assert rows[0]["training.patience"] == "5"


def test_a_search_that_was_killed_and_resumed_tries_what_an_unbroken_one_does(
    config: Path, space: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, broken = Trainings(), Trainings()
    monkeypatch.setattr("geohier.studies.tune.train", whole)
    all_at_once = tune(config, space, tmp_path / "whole", trials=12)
    broken.killed_in = 3
    monkeypatch.setattr("geohier.studies.tune.train", broken)
    with pytest.raises(Killed):
        tune(config, space, tmp_path / "broken", trials=12)
    resumed = tune(config, space, tmp_path / "broken", trials=12, resume=True)
    assert resumed == all_at_once
    assert broken.rates == [*whole.rates[:4], *whole.rates[3:]]
    names = sorted(path.name for path in (tmp_path / "broken" / "trials").iterdir())
    assert names == [f"{number:03}" for number in range(12)]
    with sqlite3.connect(tmp_path / "broken" / "study.db") as record:
        states = [state for (state,) in record.execute("select state from trials")]
    record.close()
    assert states.count("FAIL") == 1


def test_a_kill_before_the_first_trial_began_does_not_make_it_twice(
    config: Path, space: Path, tmp_path: Path, trainings: Trainings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def be_killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("optuna.Study.ask", be_killed)
        with pytest.raises(Killed):
            tune(config, space, tmp_path / "search", trials=2)
    tune(config, space, tmp_path / "search", trials=2, resume=True)
    assert trainings.rates[0] == 1e-3 != trainings.rates[1]


def test_a_kill_after_the_last_trial_leaves_its_report_to_be_written(
    config: Path, space: Path, tmp_path: Path, trainings: Trainings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def be_killed(*_: object) -> None:
        raise Killed

    out = tmp_path / "search"
    with monkeypatch.context() as patch:
        patch.setattr("geohier.studies.tune.write_table", be_killed)
        with pytest.raises(Killed):
            tune(config, space, out, trials=1)
    tune(config, space, out, trials=1, resume=True)
    assert {"trials.csv", "best.yaml"} <= {path.name for path in out.iterdir()}


def test_several_processes_are_refused_at_once(
    config: Path, space: Path, tmp_path: Path, trainings: Trainings
) -> None:
    with pytest.raises(ConfigError, match=r"training.processes is 2, but a trial is watched"):
        tune(config, space, tmp_path / "new", trials=1, overrides=["training.processes=2"])
    assert not (tmp_path / "new").exists()


def test_a_bad_trial_is_given_up_and_never_the_best(
    config: Path, space: Path, tmp_path: Path, trainings: Trainings
) -> None:
    tried = tune(config, space, tmp_path / "search", trials=12)
    pruned = [one for one in tried if one.ended == "pruned"]
    assert pruned
    assert all(one.number >= 4 and 2 <= one.epochs < EPOCHS for one in pruned)
    assert not list((tmp_path / "search").glob("trials/*/checkpoints"))


def test_more_trials_are_added_to_those_that_there_are(
    config: Path, space: Path, tmp_path: Path, trainings: Trainings
) -> None:
    out = tmp_path / "search"
    first = tune(config, space, out, trials=2)
    assert tune(config, space, out, trials=4, resume=True)[:2] == first
    assert len(trainings.configs) == 4
    assert len(tune(config, space, out, trials=1, resume=True)) == 4


def test_the_seed_of_the_config_decides_what_is_tried(
    config: Path, space: Path, tmp_path: Path, trainings: Trainings
) -> None:
    for seed in (0, 0, 1):
        out = tmp_path / f"search{len(trainings.configs)}"
        tune(config, space, out, trials=3, overrides=[f"training.seed={seed}"])
    first, again, other = (trainings.rates[at : at + 3] for at in (0, 3, 6))
    assert first == again != other


def test_values_that_do_not_train_are_told_and_the_search_goes_on(
    config: Path, space: Path, tmp_path: Path, trainings: Trainings
) -> None:
    trainings.errors = {0: ModelError("the loss was not finite"), 2: ConfigError("no such pair")}
    told: list[object] = []
    tried = tune(config, space, tmp_path / "search", trials=4, tell=told.append)
    assert told == tried
    assert [(one.ended, one.problem) for one in tried[::2]] == [
        ("failed", "the loss was not finite"),
        ("failed", "no such pair"),
    ]
    assert [one.ended for one in tried[1::2]] == ["finished", "finished"]


def test_without_any_score_there_is_no_best(
    config: Path, space: Path, tmp_path: Path, trainings: Trainings
) -> None:
    trainings.errors = {at: ModelError("the loss was not finite") for at in range(2)}
    with pytest.raises(ModelError, match="none of 2 trials came to a score: the loss was not"):
        tune(config, space, tmp_path / "search", trials=2)
    assert not (tmp_path / "search" / "best.yaml").exists()


def test_what_other_values_would_not_mend_ends_the_search_and_counts_for_nothing(
    config: Path, space: Path, tmp_path: Path, trainings: Trainings
) -> None:
    trainings.errors = {1: InputError("a scene is gone")}
    with pytest.raises(InputError, match="a scene is gone"):
        tune(config, space, tmp_path / "search", trials=3)
    tried = tune(config, space, tmp_path / "search", trials=3, resume=True)
    assert [one.ended for one in tried] == ["finished"] * 3


def test_a_config_outside_of_the_space_is_not_tried(
    config: Path, tmp_path: Path, trainings: Trainings
) -> None:
    space = tmp_path / "space.yaml"
    space.write_text("chips.batch_size: {low: 8, high: 16, step: 2}\n")
    tune(config, space, tmp_path / "search", trials=2)
    assert min(trainings.sizes) >= 8


def test_choices_of_lists_and_null_are_tried_as_they_are_stated(
    config: Path, tmp_path: Path, trainings: Trainings
) -> None:
    space = tmp_path / "space.yaml"
    space.write_text("augment.scale: [[1, 1], [0.8, 1.25]]\ntraining.patience: [null, 5]\n")
    tune(config, space, tmp_path / "search", trials=8)
    assert {one.augment.scale for one in trainings.configs} == {(1, 1), (0.8, 1.25)}
    assert trainings.configs[0].augment.scale == (0.8, 1.25)
    assert {one.training.patience for one in trainings.configs} == {None, 5}


def test_a_folder_that_holds_another_search_or_something_else_is_left_alone(
    config: Path, space: Path, tmp_path: Path, trainings: Trainings
) -> None:
    out = tmp_path / "search"
    tune(config, space, out, trials=1)
    with pytest.raises(OutputExistsError, match="go on with --resume"):
        tune(config, space, out, trials=1)
    with pytest.raises(ConfigError, match="was searched with another config"):
        tune(config, space, out, trials=2, resume=True, overrides=["augment.gain=0"])
    space.write_text("chips.batch_size: [2, 4]\n")
    with pytest.raises(ConfigError, match="was searched with another space"):
        tune(config, space, out, trials=2, resume=True)
    with pytest.raises(OutputExistsError, match="holds no search to resume"):
        tune(config, space, config.parent, trials=2, resume=True)
    (out / "study.db").write_bytes(b"x" * 5000)
    with pytest.raises(OutputExistsError, match=r"study.db is damaged \(.*not a database"):
        tune(config, space, out, trials=2, resume=True)
    assert len(trainings.configs) == 1


def test_one_search_at_a_time_writes_a_folder(
    config: Path, space: Path, tmp_path: Path, trainings: Trainings
) -> None:
    lock = OutputLock(tmp_path / "search")
    with pytest.raises(OutputLockedError):
        tune(config, space, tmp_path / "search", trials=1)
    lock.release()


def test_a_misspelt_encoder_is_known_at_once(
    config: Path, tmp_path: Path, trainings: Trainings
) -> None:
    space = tmp_path / "space.yaml"
    space.write_text("model.encoder: [resnet18, resnet18x]\n")
    with pytest.raises(ConfigError, match="did you mean resnet18"):
        tune(config, space, tmp_path / "search", trials=1)
    assert not (tmp_path / "search").exists()


def test_without_optuna_it_is_said_what_to_install(
    config: Path, space: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    with pytest.raises(ResourceError, match="pip install optuna"):
        tune(config, space, tmp_path / "search", trials=1)
