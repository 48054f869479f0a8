"""The command line as it is typed, and models to type it with."""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from small_models import Echo, save_small_model
from typer.testing import CliRunner

from geohier.cli.main import app


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
