"""A scene, and `geohier predict` as it is typed."""

from collections.abc import Callable
from pathlib import Path

import pytest
from colour_scenes import TILES, values
from small_models import COLOURS, Echo

Write = Callable[..., Path]


@pytest.fixture
def scene(write_scene: Write) -> Path:
    return write_scene(values(), descriptions=COLOURS)


@pytest.fixture
def predict(run: Callable, echo: Echo, scene: Path, tmp_path: Path) -> Callable:
    """Return a function that predicts scene.tif, or others, to map.tif with more options."""

    def command(*words: object, of: object = None, code: int = 0) -> object:
        scenes = of if isinstance(of, list) else [of or scene]
        usual = {"--out": tmp_path / "map.tif", **TILES}
        more = (word for pair in usual.items() if pair[0] not in words for word in pair)
        result = run("predict", *scenes, "--model", "echo", *more, *words)
        assert result.code == code, result.err
        return result

    return command
