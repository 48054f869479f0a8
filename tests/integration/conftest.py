"""A prediction in processes of its own, and the digests of an unbroken one."""

from pathlib import Path

import pytest
from long_work import Work, digests, write_scene
from small_models import save_small_model


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_small_model(tmp_path_factory.mktemp("small") / "model")


@pytest.fixture
def work(model: Path, tmp_path: Path) -> Work:
    (tmp_path / "logs").mkdir()
    return Work(scene=write_scene(tmp_path), model=model, logs=tmp_path / "logs")


@pytest.fixture(scope="session")
def whole(model: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Digests of an unbroken run."""
    folder = tmp_path_factory.mktemp("whole")
    ended = Work(scene=write_scene(folder), model=model, logs=folder).done(folder / "map.tif")
    assert ended.code == 0, ended.err
    return digests(folder / "map.tif")
