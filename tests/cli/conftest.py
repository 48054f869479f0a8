"""The command line as it is typed, and models to type it with."""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from roof_scenes import roofs, write_pair
from small_models import Echo, save_small_model
from typer.testing import CliRunner

from geohier.cli.main import app
from geohier.models.receptive_field import measure_receptive_field


@dataclass(frozen=True, slots=True)
class Result:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:  # noqa: ANN401 - whatever the command printed
        return json.loads(self.out)


Run = Callable[..., Result]


@pytest.fixture
def run(caplog: pytest.LogCaptureFixture) -> Run:
    """Return a function that runs `geohier ...`; what Python would log to stderr is part of it."""

    def command(*words: object) -> Result:
        caplog.clear()
        result = CliRunner().invoke(app, [str(word) for word in words])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        logged = [r.getMessage() + "\n" for r in caplog.records if r.levelno >= logging.WARNING]
        return Result(result.exit_code, result.stdout, result.stderr + "".join(logged))

    return command


@pytest.fixture
def roofs_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A config of two quick epochs beside two scenes; the working folder is another one."""
    small = partial(measure_receptive_field, largest_px=128)
    monkeypatch.setattr("geohier.training.describe.measure_receptive_field", small)
    write_pair(tmp_path / "scenes" / "train", "a", *roofs(0))
    write_pair(tmp_path / "scenes" / "val", "b", *roofs(1))
    values = {
        "data": {"root": "scenes", "classes": {0: "ground", 1: "roof"}},
        "model": {"encoder": "test_resnet", "pyramid_channels": 16, "segmentation_channels": 32},
        "chips": {"size_px": 64, "batch_size": 2, "per_epoch": 4},
        "training": {"epochs": 2, "block_px": 64, "buffer_px": 0, "workers": 0},
    }
    path = tmp_path / "roofs.yaml"
    path.write_text(yaml.safe_dump(values))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return path


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model directory: red, green and blue bytes of 10 m to three classes."""
    return save_small_model(tmp_path_factory.mktemp("small") / "model")


@pytest.fixture
def echo(monkeypatch: pytest.MonkeyPatch) -> Echo:
    """Let `--model echo` be a model that answers with the brightest band."""
    module = Echo()
    monkeypatch.setattr("geohier.inference.predictor.load_model", module.loaded)
    return module
