"""Rows of epochs in other people's logs."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import pytest
from lightning.pytorch.loggers import Logger
from roof_scenes import MakeConfig

from geohier.config.load import config_hash
from geohier.errors import ResourceError
from geohier.training.fit import train
from geohier.training.log import read_rows


def numbers(row: dict[str, Any]) -> dict[str, float]:
    return {key: value for key, value in row.items() if key != "epoch" and value is not None}


def test_tensorboard_shows_the_rows_of_a_run_that_was_resumed_once_each(
    make_config: MakeConfig, tmp_path: Path
) -> None:
    accumulators = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator",
        reason="the extra log is not installed",
    )
    config = make_config(training={"epochs": 3, "loggers": ["tensorboard"], "examples": 0})

    class StoppedError(Exception):
        pass

    def stop(*_: object, **__: object) -> None:
        raise StoppedError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("geohier.training.checkpoint.KeepBestAndLast.state_dict", stop)
        with pytest.raises(StoppedError):
            train(config, tmp_path / "run", quiet=True)
    train(config, tmp_path / "run", quiet=True, resume=True)
    events = accumulators.EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    rows = read_rows(tmp_path / "run")
    assert set(events.Tags()["scalars"]) == set(numbers(rows[0]))
    for name in ("loss", "choose_iou", "learning_rate"):
        found = events.Scalars(name)
        assert [one.step for one in found] == [1, 2, 3]
        assert [one.value for one in found] == pytest.approx([row[name] for row in rows])


class Recorded(Logger):
    """Stands in for Lightning's logger of MLflow."""

    made: ClassVar[list["Recorded"]] = []

    def __init__(self, **options: object) -> None:
        self.options = options
        self.rows: list[tuple[int, dict[str, float]]] = []
        self.ended = ""
        self.made.append(self)

    name = version = "stub"

    @property
    def run_id(self) -> str:
        return str(self.options["run_id"] or "fresh")

    def log_metrics(self, metrics: dict[str, float], step: int) -> None:  # type: ignore[override]
        self.rows.append((step, metrics))

    def log_hyperparams(self, *_: object, **__: object) -> None:
        raise NotImplementedError

    def finalize(self, status: str) -> None:
        self.ended = status


@pytest.fixture
def mlflow(monkeypatch: pytest.MonkeyPatch) -> list[Recorded]:
    """The loggers that are made, where MLflow is installed."""
    installed = ModuleType("mlflow")
    installed.__spec__ = sys.__spec__
    monkeypatch.setitem(sys.modules, "mlflow", installed)
    monkeypatch.setattr("lightning.pytorch.loggers.MLFlowLogger", Recorded)
    monkeypatch.setattr(Recorded, "made", [])
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return Recorded.made


def test_mlflow_gets_the_rows_and_a_resumed_run_goes_on_there(
    make_config: MakeConfig, tmp_path: Path, mlflow: list[Recorded]
) -> None:
    course = {"loggers": ["mlflow"], "examples": 0}
    train(make_config(training={"epochs": 2, **course}), tmp_path / "run", quiet=True)
    (made,) = mlflow
    rows = read_rows(tmp_path / "run")
    assert [step for step, _ in made.rows] == [1, 2]
    assert [sent for _, sent in made.rows] == [numbers(row) for row in rows]
    assert made.ended == "success"
    place = (tmp_path / "run" / "mlflow").as_uri()
    assert made.options == {
        "experiment_name": "geohier",
        "run_name": "run",
        "tracking_uri": place,
        "run_id": None,
    }


def test_mlflow_runs_lie_where_its_own_variable_says(
    make_config: MakeConfig,
    tmp_path: Path,
    mlflow: list[Recorded],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "file:///elsewhere")
    config = make_config(training={"epochs": 1, "loggers": ["mlflow"], "examples": 0})

    def fail(*_: object) -> None:
        raise RuntimeError("the disk is gone")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("geohier.training.checkpoint.KeepBestAndLast.state_dict", fail)
        with pytest.raises(RuntimeError, match="the disk is gone"):
            train(config, tmp_path / "run", quiet=True)
    train(config, tmp_path / "run", quiet=True, resume=True)
    assert [one.options["tracking_uri"] for one in mlflow] == ["file:///elsewhere"] * 2
    assert [one.options["run_id"] for one in mlflow] == [None, "fresh"]
    assert [one.ended for one in mlflow] == ["failed", "success"]


@pytest.mark.parametrize("name", ["tensorboard", "mlflow"])
def test_a_logger_that_is_not_installed_is_told_before_anything_is_read(
    make_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr("geohier.training.loggers.find_spec", lambda name: None)
    with pytest.raises(ResourceError, match=f"{name} is not installed: pip install {name}"):
        train(make_config(training={"loggers": [name]}), tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


def test_where_a_run_is_logged_does_not_decide_what_is_learnt(make_config: MakeConfig) -> None:
    logged = make_config(training={"loggers": ["tensorboard"]})
    assert config_hash(logged) == config_hash(make_config())
