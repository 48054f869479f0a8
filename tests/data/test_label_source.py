"""Labels on disk, laid over a scene's grid: rasters on any grid, polygons, boxes and points."""

import json
import math
from collections.abc import Sequence
from pathlib import Path

import geopandas
import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from geohier.data.label_rules import LabelRules
from geohier.data.label_source import open_labels
from geohier.errors import ConfigError, GeohierError, LabelError
from geohier.geo.window import Window

UTM = "EPSG:32631"
ROTATED = Affine.translation(500_000, 5_000_000) @ Affine.rotation(25) @ Affine.scale(2, -1)
GRID = GeoBox((40, 60), ROTATED, UTM)
CLASSES = {"ground": (0,), "roof": (1,), "tree": (7, 8)}


def write(path: Path, shapes: Sequence[object], grid: GeoBox = GRID, **columns: object) -> Path:
    """Write shapes that are given in pixels of a grid as features in its CRS."""
    placed = [
        shapely.transform(one, lambda xy: np.column_stack(grid.affine @ xy.T)) for one in shapes
    ]
    geopandas.GeoDataFrame(columns, geometry=placed, crs=grid.crs.to_wkt()).to_file(path)
    return path


def values(
    path: Path, grid: GeoBox = GRID, window: Window | None = None, **rules: object
) -> NDArray:
    """Read the labels of a window, or of the whole grid."""
    whole = Window(row_off=0, col_off=0, height=grid.height, width=grid.width)
    said = LabelRules(**({"classes": CLASSES, "alone": "roof"} | rules))  # type: ignore[arg-type]
    with open_labels(path, grid, said) as labels:
        return labels.read(window or whole)


@pytest.fixture(scope="module")
def scattered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Overlapping triangles of three classes, and points."""
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 60, (30, 1, 2)) + rng.uniform(-9, 9, (30, 3, 2))
    shapes = [*shapely.polygons(corners), *shapely.points(rng.uniform(0, 60, (9, 2)))]
    kinds = rng.choice([0, 1, 7, 8], len(shapes))
    return write(tmp_path_factory.mktemp("labels") / "labels.gpkg", shapes, kind=kinds)


@given(
    rows=st.tuples(st.integers(0, 39), st.integers(1, 40)),
    cols=st.tuples(st.integers(0, 59), st.integers(1, 60)),
)
def test_a_window_holds_what_the_whole_holds_there(
    scattered: Path, rows: tuple[int, int], cols: tuple[int, int]
) -> None:
    window = Window(row_off=rows[0], col_off=cols[0], height=rows[1], width=cols[1])
    window = window.clipped(height=40, width=60)
    rules = {"attribute": "kind", "point_radius_m": 4.0, "outside": "ground"}
    whole = values(scattered, **rules)
    np.testing.assert_array_equal(values(scattered, window=window, **rules), whole[window.slices])


@pytest.mark.parametrize(
    ("column", "expected"),
    [(["roof", "Tree"], [1, 7]), ([0, 8], [0, 8]), (["tree", None], [7, math.nan])],
)
def test_features_have_the_label_in_their_column(
    tmp_path: Path, column: list[object], expected: list[float]
) -> None:
    shapes = [shapely.box(5, 10, 9, 20), shapely.box(9, 10, 15, 20)]
    found = values(write(tmp_path / "two.geojson", shapes, kind=column), attribute="kind")
    wanted = np.full((40, 60), np.nan)
    wanted[10:20, 5:9], wanted[10:20, 9:15] = expected
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("latitude", [0, 60])
def test_a_point_stands_for_a_disc_in_metres_on_the_ground(tmp_path: Path, latitude: int) -> None:
    """Web Mercator stretches: at 60 degrees, a metre on the ground is two metres of the CRS."""
    stretch = 1 / math.cos(math.radians(latitude))
    north = 6_378_137 * math.asinh(math.tan(math.radians(latitude)))
    grid = GeoBox((200, 200), Affine(1, 0, 0, 0, -1, north + 100), "EPSG:3857")
    path = write(tmp_path / "points.fgb", [shapely.Point(100.5, 100.5)], grid)
    disc = values(path, grid, point_radius_m=20)
    assert np.nansum(disc == 1) == pytest.approx(math.pi * (20 * stretch) ** 2, rel=0.02)
    assert disc[100, 100] == 1


@pytest.mark.parametrize("radius_m", [0, 0.01])
def test_what_is_smaller_than_a_pixel_labels_the_pixel_that_it_is_in(
    tmp_path: Path, radius_m: float
) -> None:
    tiny = [shapely.box(3.1, 5.1, 3.3, 5.2), shapely.Point(20.9, 7.1)]
    found = values(write(tmp_path / "tiny.gpkg", tiny), point_radius_m=radius_m)
    assert np.argwhere(found == 1).tolist() == [[5, 3], [7, 20]]
    assert np.isnan(found).sum() == found.size - 2


def test_a_polygon_that_is_a_single_place_is_no_point_but_labels_its_pixel(tmp_path: Path) -> None:
    found = values(write(tmp_path / "dot.gpkg", [shapely.Polygon([(3.5, 5.5)] * 4)]))
    assert np.argwhere(found == 1).tolist() == [[5, 3]]


@pytest.mark.parametrize("far", [math.inf, -math.inf])
def test_features_without_a_finite_place_are_left_out_and_counted(
    tmp_path: Path, far: float
) -> None:
    lost = shapely.Polygon([(1, 1), (3, 1), (far, 3)])
    path = write(tmp_path / "far.gpkg", [lost, shapely.box(5, 10, 9, 20)])
    assert np.nansum(values(path)) == 4 * 10
    with open_labels(path, GRID, LabelRules(classes=CLASSES, alone="roof")) as labels:
        assert any("1 features have coordinates that are no place" in one for one in labels.notes)
    with pytest.raises(LabelError, match="none of its 1 features has coordinates that are a place"):
        values(write(tmp_path / "alone.gpkg", [lost]))


def test_ground_without_a_feature_is_unlabelled_unless_said_otherwise(tmp_path: Path) -> None:
    path = write(tmp_path / "one.gpkg", [shapely.box(0, 0, 10, 10)])
    areas = write(tmp_path / "areas.gpkg", [shapely.box(5, 5, 30, 20)])
    assert np.isnan(values(path)).sum() == 40 * 60 - 100
    assert (values(path, outside="tree") == 7).sum() == 40 * 60 - 100
    inside_areas = values(path, outside="ground", areas=areas)
    assert (inside_areas == 0).sum() == 25 * 15 - 5 * 5
    assert (inside_areas == 1).sum() == 100


def test_areas_that_cross_themselves_are_mended(tmp_path: Path) -> None:
    path = write(tmp_path / "one.gpkg", [shapely.box(0, 0, 2, 2)])
    bow_tie = shapely.Polygon([(10, 10), (30, 30), (30, 10), (10, 30)])
    areas = write(tmp_path / "areas.gpkg", [bow_tie, shapely.box(20, 10, 40, 30)])
    inside_areas = values(path, outside="ground", areas=areas)
    assert inside_areas[20, 25] == 0
    assert np.isnan(inside_areas[20, 9])


def test_a_file_without_features_says_that_there_are_none(tmp_path: Path) -> None:
    path = tmp_path / "empty.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": []}))
    assert (values(path, outside="ground") == 0).all()
    assert np.isnan(values(path)).all()


def test_polygons_that_cross_themselves_are_mended_and_counted(tmp_path: Path) -> None:
    bow_tie = shapely.Polygon([(10, 10), (20, 20), (20, 10), (10, 20)])
    path = write(tmp_path / "bow.gpkg", [bow_tie])
    assert 40 <= np.nansum(values(path) == 1) <= 60
    with open_labels(path, GRID, LabelRules(classes=CLASSES, alone="roof")) as labels:
        assert any("1 polygons cross themselves: mended" in note for note in labels.notes)


@pytest.mark.parametrize(
    ("shape", "columns", "rules", "error", "message"),
    [
        (shapely.LineString([(0, 0), (9, 9)]), {}, {}, LabelError, "no polygons or points"),
        (shapely.Point(5, 5), {}, {}, ConfigError, "how large the discs are"),
        (shapely.box(0, 0, 9, 9), {}, {"attribute": "kind"}, ConfigError, "has no column kind"),
        (shapely.box(0, 0, 9, 9), {}, {"alone": None}, ConfigError, "there are 3 classes: name"),
        (shapely.box(0, 0, 9, 9), {}, {"outside": "sea"}, ConfigError, "outside sea is no class"),
        (shapely.box(900, 900, 990, 990), {}, {}, LabelError, "1 features lie outside the image"),
        (
            shapely.box(0, 0, 9, 9),
            {"kind": ["sea"]},
            {"attribute": "kind"},
            LabelError,
            "kind has 'sea', but the classes are ground roof tree",
        ),
    ],
)
def test_features_that_cannot_be_labels_are_refused_in_one_line(
    tmp_path: Path,
    shape: object,
    columns: dict[str, object],
    rules: dict[str, object],
    error: type[GeohierError],
    message: str,
) -> None:
    path = write(tmp_path / "labels.gpkg", [shape], **columns)
    with pytest.raises(error, match=message) as caught:
        values(path, **rules)
    assert "\n" not in str(caught.value)
