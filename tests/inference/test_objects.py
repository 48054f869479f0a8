"""Objects are found once each, wherever tiles and windows meet."""

from pathlib import Path

import geopandas
import numpy as np
import pytest
from affine import Affine
from conftest import WriteScene
from hypothesis import given
from hypothesis import strategies as st
from object_scenes import Told, told, told_card

from geohier.errors import ConfigError, OutputExistsError
from geohier.inference import objects
from geohier.inference.options import PredictOptions
from geohier.inference.pipeline import predict_raster
from geohier.inference.scoring import Scorer

SIDE = 96
PLACES = [(8.5, 8.5), (31.8, 32.4), (32.2, 60.0), (63.9, 64.1), (2.0, 94.5), (95.2, 40.0)]
"""Some lie where tiles of 32 and 64 px meet, and some at the edges."""


def found_in(
    scene: Path, target: Path, *names: str, card: object = None, **options: object
) -> geopandas.GeoDataFrame:
    predict_raster(
        scene,
        target,
        Told(),
        card=card or told_card(*(names or ("tree",))),  # type: ignore[arg-type]
        options=PredictOptions(**options),  # type: ignore[arg-type]
    )
    return geopandas.read_file(target)


def in_pixels(found: geopandas.GeoDataFrame, place: Affine) -> np.ndarray:
    xy = np.array([(one.x, one.y) for one in found.geometry]).reshape(-1, 2)
    return np.stack(~place @ xy.T, axis=1)[:, ::-1]


NORTH_UP = Affine(10, 0, 500_000, 0, -10, 5_000_000)


@pytest.mark.parametrize(("size", "overlap"), [(32, 8), (64, 16), (48, 20), (96, 0)])
@pytest.mark.parametrize("window", [2048, 31])
def test_each_object_is_found_once_in_its_place(
    write_scene: WriteScene,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    size: int,
    overlap: int,
    window: int,
) -> None:
    monkeypatch.setattr(objects, "WINDOW_PX", window)
    scene = write_scene(told(PLACES, SIDE, SIDE)[None])
    found = found_in(scene, tmp_path / "trees.gpkg", size=size, overlap=overlap)
    places = in_pixels(found, NORTH_UP)
    order = np.lexsort((places[:, 1], places[:, 0]))
    true = np.array(sorted(PLACES))
    at_edge = (np.minimum(true, SIDE - true) < 3).any(axis=1)
    off = np.abs(places[order] - true).max(axis=1)
    assert (off[~at_edge] < 0.3).all()
    assert (off < 0.8).all(), "beyond the edge nothing is seen, which draws them in"
    assert (found.class_name == "tree").all()
    assert found.score.between(0.4, 0.81).all()
    assert (found.scene == "scene").all()


@given(st.lists(st.tuples(st.floats(4, 60), st.floats(4, 60)), max_size=6), st.integers(9, 70))
def test_windows_change_nothing(
    tmp_path_factory: pytest.TempPathFactory, places: list, window: int
) -> None:
    import rasterio

    path = tmp_path_factory.mktemp("told") / "middles.tif"
    with rasterio.open(
        path, "w", driver="GTiff", count=1, height=64, width=64, dtype="uint8",
        crs="EPSG:32631", transform=NORTH_UP,
    ) as file:  # fmt: skip
        file.write(told(places, 64, 64)[None])
    card = told_card("tree")
    with pytest.MonkeyPatch.context() as patch:
        whole = objects.find_objects(path, card)
        patch.setattr(objects, "WINDOW_PX", window)
        parts = objects.find_objects(path, card)
    np.testing.assert_array_equal(whole.at, parts.at)
    np.testing.assert_array_equal(whole.scores, parts.scores)
    assert len(whole) <= len(places)


@pytest.mark.parametrize(
    "place",
    [
        Affine(0.5, 0, 500_000, 0, 0.5, 4_999_980),
        Affine.translation(500_000, 5_000_000) * Affine.rotation(30) * Affine.scale(0.5, -0.5),
    ],
    ids=["south-up", "turned"],
)
def test_objects_lie_where_their_pixels_do(
    write_scene: WriteScene, tmp_path: Path, place: Affine
) -> None:
    scene = write_scene(told([(20, 40)], 64, 64)[None], transform=place)
    found = found_in(scene, tmp_path / "a.geojson")
    [point] = found.to_crs("EPSG:32631").geometry
    assert (point.x, point.y) == pytest.approx(place @ (40, 20), abs=0.05)


def test_classes_are_found_apart_and_nodata_holds_nothing(
    write_scene: WriteScene, tmp_path: Path
) -> None:
    bands = np.stack([told([(20, 20), (50, 50)], 64, 64), told([(20, 24)], 64, 64)])
    bands[:, 40:] = 0
    scene = write_scene(bands, nodata=0)
    found = found_in(scene, tmp_path / "a.gpkg", "tree", "car")
    assert [*found.class_name] == ["tree", "car"]
    assert [*found.class_id] == [1, 2]


def test_a_threshold_chooses_again_without_a_second_look(
    write_scene: WriteScene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = write_scene(told(PLACES, SIDE, SIDE)[None])
    assert len(found_in(scene, tmp_path / "a.gpkg")) == len(PLACES)
    before = (tmp_path / "a.gpkg").read_bytes()
    monkeypatch.setattr(Scorer, "forward", lambda self, *pixels: 1 / 0)
    assert len(found_in(scene, tmp_path / "a.gpkg")) == len(PLACES), "it is up to date"
    with pytest.raises(OutputExistsError, match="holds something else"):
        found_in(scene, tmp_path / "a.gpkg", thresholds={"tree": 0.95})
    assert (tmp_path / "a.gpkg").read_bytes() == before


def test_what_is_no_name_for_objects_or_of_maps_is_refused(
    write_scene: WriteScene, tmp_path: Path
) -> None:
    scene = write_scene(told(PLACES, SIDE, SIDE)[None])
    with pytest.raises(ConfigError, match=r"ends in \.gpkg"):
        found_in(scene, tmp_path / "a.tif")
    with pytest.raises(ConfigError, match="the model finds objects"):
        found_in(scene, tmp_path / "a.gpkg", confidence=True)
    with pytest.raises(ConfigError, match="ground is the ground between objects"):
        found_in(scene, tmp_path / "a.gpkg", thresholds={"ground": 0.5})
    with pytest.raises(ConfigError, match="no class 'roof'"):
        found_in(scene, tmp_path / "a.gpkg", thresholds={"roof": 0.5})
    (tmp_path / "b.gpkg").write_text("mine")
    with pytest.raises(OutputExistsError, match="is there already"):
        found_in(scene, tmp_path / "b.gpkg")
    assert (tmp_path / "b.gpkg").read_text() == "mine"
    with pytest.raises(ConfigError, match="thresholds are of"):
        told_card("tree").__class__(
            bands=told_card("tree").bands,
            classes=told_card("tree").classes,
            points=told_card("car").points,
        )
