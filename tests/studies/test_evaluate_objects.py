"""Objects that a model finds are scored against those that labels have."""

from pathlib import Path

import geopandas
import numpy as np
import pytest
import shapely
from affine import Affine
from conftest import WriteScene
from object_scenes import Told, told, told_card

from geohier.config.schema import TrainConfig
from geohier.models.directory import LoadedModel
from geohier.studies.evaluate_objects import evaluate_objects
from geohier.studies.object_scores import SceneObjects, score_objects

PLACE = Affine(10, 0, 500_000, 0, -10, 5_000_000)
TOLD = [(20.5, 20.5), (40.5, 50.5), (58.5, 10.5)]
"""Objects that the scene tells of; the last one lies on ground without labels."""
LABELLED = [(20.5, 21.5), (5.5, 40.5), (30.5, 10.5)]
"""True ones: the first is found, the second is not, the third lies on nodata."""


@pytest.fixture
def config(write_scene: WriteScene, tmp_path: Path) -> TrainConfig:
    values = np.maximum(told(TOLD, 64, 64), 1)
    values[24:36, :24] = 0
    write_scene(values[None], transform=PLACE, nodata=0)
    points = [shapely.Point(PLACE @ place[::-1]) for place in LABELLED]
    for name, shapes in (("trees", points), ("areas", [shapely.box(*_bounds(0, 50))])):
        frame = geopandas.GeoDataFrame(geometry=shapes, crs="EPSG:32631")
        frame.to_file(tmp_path / f"{name}.gpkg")
    (tmp_path / "split.csv").write_text(
        "scene,split,image,mask\na,train,scene.tif,trees.gpkg\nb,val,scene.tif,trees.gpkg\n"
    )
    labels = {"outside": "ground", "point_radius_m": 10, "areas": str(tmp_path / "areas.gpkg")}
    data = {"root": str(tmp_path), "classes": {"ground": 0, "tree": 1}, "labels": labels}
    return TrainConfig.model_validate({"task": "detection", "data": data})


def _bounds(top: int, bottom: int) -> tuple[float, float, float, float]:
    (left, high), (right, low) = PLACE @ (0, top), PLACE @ (64, bottom)
    return left, low, right, high


def test_what_was_not_seen_or_not_labelled_is_neither_found_nor_missed(
    config: TrainConfig, tmp_path: Path
) -> None:
    model = LoadedModel(module=Told(), card=told_card("tree"), config=config, sha256="0" * 64)
    found = evaluate_objects(model, config, within_m=15).classes["tree"]
    assert (found.true, found.found, found.right) == (2, 2, 1)
    assert (found.precision, found.recall, found.f1) == (0.5, 0.5, 0.5)
    assert found.rmse_m == pytest.approx(10, abs=1)
    strict = evaluate_objects(model, config, within_m=5).classes["tree"]
    assert (strict.true, strict.found, strict.right) == (2, 2, 0)


def scene(name: str, *found: tuple[float, float], true: int) -> SceneObjects:
    """Return a scene on a line: true objects at 0, 10 and so on, found ones by place and score."""
    at, scores = np.array(found, float).reshape(-1, 2).T
    return SceneObjects(
        scene=name,
        found=np.stack([at, np.zeros_like(at)], axis=1),
        scores=scores,
        true=np.stack([10.0 * np.arange(true), np.zeros(true)], axis=1),
    )


def test_scores_are_of_all_scenes_together() -> None:
    scenes = [scene("a", (1, 0.9), (13, 0.8), (30, 0.7), (20, 0.2), true=3), scene("b", true=1)]
    found = score_objects(scenes, within=4, threshold=0.5)
    assert (found.true, found.found, found.right) == (4, 3, 2)
    assert found.f1 == pytest.approx(2 * 2 / 7)
    assert found.rmse_m == pytest.approx(5**0.5)
    assert found.average_precision == pytest.approx((1 + 1 + 3 / 4) / 4), "by falling score"
    assert found.count_error == 0.5
    low, high = found.f1_range
    assert low == 0
    assert high == pytest.approx(2 * 2 / 6)


def test_where_there_is_nothing_scores_are_unknown() -> None:
    found = score_objects([scene("a", (1, 0.9), true=0)], within=4, threshold=0.5)
    assert found.precision == 0
    unknown = (found.recall, found.f1, found.average_precision, found.rmse_m, *found.f1_range)
    assert np.isnan(unknown).all()
