"""geohier predict --tree-level: maps of the groups of classes."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from colour_scenes import SHAPE, read
from small_models import CLASSES, COLOURS, Echo

from geohier.geo.class_tree import ClassTree

NAMES = [one.name for one in CLASSES]
TREE = ClassTree.of({"dry": ["land", "roof"], "wet": ["water"]}, NAMES)


@pytest.fixture
def grouping(echo: Echo) -> Echo:
    values = ((3,), (), (7, 8))
    classes = tuple(
        replace(one, label_values=own) for one, own in zip(CLASSES, values, strict=True)
    )
    echo.card = replace(echo.card, classes=classes, tree=TREE)
    return echo


@pytest.fixture
def close(write_scene: Callable[..., Path]) -> Path:
    """A scene in which no class is sure: scores from 0 to 2."""
    scores = np.random.default_rng(0).integers(0, 3, size=(3, *SHAPE), dtype="uint8")
    return write_scene(scores, "close.tif", descriptions=COLOURS)


def shares_of(scene: Path) -> np.ndarray:
    with rasterio.open(scene) as file:
        odds = np.exp(file.read().astype("float64"))
    land, water, roof = odds / odds.sum(axis=0)
    return np.stack([land + roof, water])


def test_a_group_is_as_probable_as_its_classes_together(
    predict: Callable, grouping: Echo, close: Path, tmp_path: Path
) -> None:
    every = ("--probabilities", "--confidence", "--entropy")
    predict("--tree-level", 1, *every, of=close)
    shares = shares_of(close)
    np.testing.assert_array_equal(read(tmp_path / "map.tif"), shares.argmax(axis=0))
    with rasterio.open(tmp_path / "map_probabilities.tif") as file:
        assert file.descriptions == ("dry", "wet")
        assert np.abs(file.read() - 250 * shares).max() <= 0.5 + 1e-3
    sure = read(tmp_path / "map_confidence.tif")
    assert np.abs(sure - 250 * shares.max(axis=0)).max() <= 0.5 + 1e-3
    unsure = -(shares * np.log2(shares)).sum(axis=0)
    assert np.abs(read(tmp_path / "map_entropy.tif") - 250 * unsure).max() <= 0.5 + 1e-3


def test_a_map_of_groups_says_which_label_values_stand_for_them(
    predict: Callable, grouping: Echo, close: Path, tmp_path: Path
) -> None:
    predict("--tree-level", 1, of=close)
    with rasterio.open(tmp_path / "map.tif") as file:
        tags = file.tags()
        named = json.loads(tags["classification_classes"])
        assert file.colormap(1)[0][:3] == (0, 255, 0), "that of its first class"
    assert [entry["name"] for entry in named[:2]] == ["dry", "wet"]
    assert json.loads(tags["geohier_label_values"]) == [[3, 7, 8], [1]]
    assert "geohier_class_tree" not in tags


def test_a_map_of_classes_names_their_tree(
    predict: Callable, grouping: Echo, close: Path, tmp_path: Path
) -> None:
    predict(of=close)
    with rasterio.open(tmp_path / "map.tif") as file:
        assert ClassTree.from_json(json.loads(file.tags()["geohier_class_tree"]), NAMES) == TREE
    assert "tree_level" not in (tmp_path / "map.tif.run.json").read_text()


def test_a_threshold_is_of_a_group(
    predict: Callable, grouping: Echo, close: Path, tmp_path: Path
) -> None:
    predict("--tree-level", 1, "--threshold", "wet=0.2", of=close)
    wet = shares_of(close)[1] >= 0.2
    np.testing.assert_array_equal(read(tmp_path / "map.tif"), wet)
    says = "no class 'roof' in tree level 1, which has dry, wet"
    assert says in predict("--tree-level", 1, "--threshold", "roof=0.2", of=close, code=2).err


def test_another_level_is_another_run(
    predict: Callable,
    grouping: Echo,
    close: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("geohier.raster.store.PartStore.finish", interrupted)
        predict("--tree-level", 1, of=close, code=130)
    result = predict(of=close, code=2)
    assert 'now ["land", "water", "roof"]' in result.err
    assert "choose --restart" in result.err
    predict("--tree-level", 1, of=close)
    assert "was made by another run" in predict(of=close, code=2).err
    assert "up to date" in predict("--tree-level", 1, of=close).out
    record = json.loads((tmp_path / "map.tif.run.json").read_text())
    assert record["fingerprint"]["options"]["tree_level"] == 1


@pytest.mark.parametrize(
    ("tree", "level", "says"),
    [
        (None, 1, "the model's classes have no tree: leave it out, or train with data.class_tree"),
        (TREE, 2, "tree level 2: the tree has level 1 above the classes themselves"),
        (TREE, 0, "tree level 0: the tree has level 1 above"),
    ],
)
def test_a_level_that_is_not_there_is_refused_before_anything_is_read(
    predict: Callable, echo: Echo, tree: ClassTree | None, level: int, says: str, tmp_path: Path
) -> None:
    echo.card = replace(echo.card, tree=tree)
    result = predict("--tree-level", level, code=2)
    assert says in result.err
    assert len(result.err.splitlines()) == 1
    assert not list(tmp_path.glob("map*"))
