"""geohier vectorize, as it is typed."""

from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from cli.conftest import Run
from conftest import WriteScene

from geohier.raster.vrt import CLASSES_TAG
from geohier.studies import vectorize

PLACE = Affine(0.5, 0, 500_000, 0, -0.5, 5_000_000)
"""Pixels of a quarter of a square metre."""


def labels() -> np.ndarray:
    """A house with a court, a shed beside it, and a lot of ground; the last column is nodata."""
    values = np.zeros((40, 60), np.uint8)
    values[5:20, 10:30], values[10:12, 15:20] = 1, 0
    values[10:14, 30:34], values[30, 50] = 2, 1
    values[:, -1] = 255
    return values


@pytest.fixture
def raster(write_scene: WriteScene) -> Path:
    return named(write_scene(labels()[None], transform=PLACE, nodata=255))


def named(path: Path) -> Path:
    entries = [f'{{"value": {at}, "name": "{name}"}}' for at, name in enumerate(NAMES)]
    with rasterio.open(path, "r+") as file:
        file.update_tags(**{CLASSES_TAG: f"[{', '.join(entries)}]"})
    return path


NAMES = ("ground", "house", "shed")


def test_regions_become_polygons_with_class_and_area_in_the_place_of_the_raster(
    run: Run, raster: Path, tmp_path: Path
) -> None:
    out = tmp_path / "map.gpkg"
    result = run("vectorize", raster, "--out", out)
    assert result.code == 0, result.err
    found = geopandas.read_file(out)
    assert found.crs == "EPSG:32631"
    assert [*found.class_name] == ["ground", "house", "ground", "shed", "house"]
    assert [*found.class_id] == [0, 1, 0, 2, 1]
    house = found.iloc[1]
    assert house.geometry.bounds == (500_005, 4_999_990, 500_015, 4_999_997.5)
    assert len(house.geometry.interiors) == 1
    assert house.area_m2 == pytest.approx(290 / 4, rel=2e-3)
    assert found.geometry.is_valid.all()
    assert "house" in result.out


def test_strips_change_nothing(
    run: Run, raster: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, pixels in (("whole", 10**6), ("strips", 180)):
        monkeypatch.setattr(vectorize, "STRIP_PX", pixels)
        assert run("vectorize", raster, "-o", tmp_path / name / "a.fgb").code == 0
    first, second = ((tmp_path / name / "a.fgb").read_bytes() for name in ("whole", "strips"))
    assert first == second


def test_classes_and_sizes_are_chosen(run: Run, raster: Path, tmp_path: Path) -> None:
    words = ("vectorize", raster, "--classes", "house, 2", "--json")
    some = run(*words, "-o", tmp_path / "a.geojson").json
    assert some["polygons"] == {"house": 2, "shed": 1}
    large = run(*words, "-o", tmp_path / "b.geojson", "--min-area-m2", 4).json
    assert large["polygons"] == {"house": 1, "shed": 1}
    assert large["areas_m2"]["shed"] == pytest.approx(4, rel=2e-3)
    none = run(*words, "-o", tmp_path / "c.geojson", "--min-area-m2", 1000).json
    assert none["polygons"] == {}
    assert len(geopandas.read_file(tmp_path / "c.geojson")) == 0


def test_simplified_neighbours_keep_the_border_that_they_share(
    run: Run, write_scene: WriteScene, tmp_path: Path
) -> None:
    rows, columns = np.indices((60, 60))
    slope = (columns > 10 + rows * 0.6).astype(np.uint8)
    path = named(write_scene(slope[None], transform=PLACE, nodata=255))
    run("vectorize", path, "-o", tmp_path / "steps.gpkg")
    assert run("vectorize", path, "-o", tmp_path / "a.gpkg", "--simplify-m", 1).code == 0
    steps, found = (geopandas.read_file(tmp_path / name) for name in ("steps.gpkg", "a.gpkg"))
    corners = shapely.get_num_coordinates(found.geometry)
    assert (corners < shapely.get_num_coordinates(steps.geometry) / 4).all()
    left, right = found.geometry
    assert left.intersection(right).area == 0
    assert left.union(right).area == pytest.approx(30 * 30)
    assert left.area == pytest.approx(steps.geometry[0].area, rel=0.02)


def test_rectangles_turn_with_what_they_hold(
    run: Run, write_scene: WriteScene, tmp_path: Path
) -> None:
    rows, columns = np.indices((60, 60)) - 30
    along, across = (rows + columns) / 2**0.5, (rows - columns) / 2**0.5
    roof = ((abs(along) < 20) & (abs(across) < 8)).astype(np.uint8)
    path = named(write_scene(roof[None], transform=PLACE, nodata=255))
    words = ("vectorize", path, "--classes", "house", "--rectangles")
    assert run(*words, "-o", tmp_path / "a.gpkg").code == 0
    [found] = geopandas.read_file(tmp_path / "a.gpkg").geometry
    assert len(found.exterior.coords) == 5
    assert found.area == pytest.approx(20 * 8, rel=0.15)
    assert run(*words, "-o", tmp_path / "b.gpkg", "--simplify-m", 1).code == 2


@pytest.mark.parametrize(
    "place",
    [
        Affine(0.5, 0, 500_000, 0, 0.5, 4_999_980),
        Affine.translation(500_000, 5_000_000) * Affine.rotation(30) * Affine.scale(0.5, -0.5),
    ],
    ids=["south-up", "turned"],
)
def test_polygons_lie_where_the_pixels_do(
    run: Run, write_scene: WriteScene, tmp_path: Path, place: Affine
) -> None:
    path = named(write_scene(labels()[None], transform=place, nodata=255))
    assert run("vectorize", path, "--classes", "shed", "-o", tmp_path / "a.gpkg").code == 0
    [found] = geopandas.read_file(tmp_path / "a.gpkg").geometry
    corners = ((30, 10), (34, 10), (34, 14), (30, 14))
    expected = shapely.Polygon([place @ corner for corner in corners])
    assert found.symmetric_difference(expected).area == pytest.approx(0, abs=1e-6)


def test_a_raster_without_place_or_names_is_traced_in_pixels(
    run: Run, write_scene: WriteScene, tmp_path: Path
) -> None:
    path = write_scene(labels()[None].astype(np.uint16), crs=None, nodata=255)
    words = ("vectorize", path, "--classes", "1", "--min-area-m2", 10)
    result = run(*words, "-o", tmp_path / "a.gpkg", "--json")
    assert result.json == {
        "output": str(tmp_path / "a.gpkg"),
        "polygons": {"1": 1},
        "areas_m2": None,
    }
    assert "no GSD" in result.err
    assert "no GSD" not in run(*words, "-o", tmp_path / "b.gpkg", "--quiet").err
    refused = run(*words, "-o", tmp_path / "a.geojson")
    assert refused.code == 2
    assert "no CRS" in refused.err


@pytest.mark.parametrize(
    ("more", "code", "said"),
    [
        (("--classes", "road"), 2, "no class road: it has ground house shed"),
        (("--classes", "7"), 2, "no class 7"),
        (("--min-area-m2", "-1"), 2, "--min-area-m2 -1: give 0 or more"),
        (("--simplify-m", "nan"), 2, "--simplify-m nan"),
    ],
)
def test_bad_options_are_one_line(
    run: Run, raster: Path, tmp_path: Path, more: tuple[str, ...], code: int, said: str
) -> None:
    result = run("vectorize", raster, "-o", tmp_path / "a.gpkg", *more)
    assert result.code == code
    assert said in result.err
    assert result.err.count("\n") == 1
    assert not (tmp_path / "a.gpkg").exists()


def test_places_that_no_file_can_have_are_refused(
    run: Run, raster: Path, write_scene: WriteScene, tmp_path: Path
) -> None:
    (tmp_path / "folder.gpkg").mkdir()
    folder = run("vectorize", raster, "-o", tmp_path / "folder.gpkg", "--overwrite")
    assert (folder.code, "is a folder" in folder.err) == (2, True)
    below = run("vectorize", raster, "-o", raster / "a.gpkg")
    assert (below.code, "which is a file" in below.err) == (2, True)
    beyond = Affine(0.1, 0, 200, 0, -0.1, 95)
    odd = write_scene(labels()[None], "odd.tif", transform=beyond, crs="EPSG:4326", nodata=255)
    lost = run("vectorize", odd, "-o", tmp_path / "a.geojson")
    assert lost.code == 3, lost.err
    assert len([line for line in lost.err.splitlines() if line.startswith("geohier")]) == 1
    assert not (tmp_path / "a.geojson").exists()
    nothing = run("vectorize", raster, "--min-area-m2", 1e6, "-o", tmp_path / "n.gpkg")
    assert "the file is empty" in nothing.err


def test_nothing_is_overwritten_unasked_and_images_are_no_maps(
    run: Run, raster: Path, write_scene: WriteScene, tmp_path: Path
) -> None:
    assert run("vectorize", raster, "-o", tmp_path / "a.shp").code == 2
    words = ("vectorize", raster, "-o", tmp_path / "a.gpkg")
    assert [run(*words).code, run(*words).code, run(*words, "--overwrite").code] == [0, 2, 0]
    image = write_scene(np.zeros((3, 8, 8), np.uint8), "image.tif")
    refused = run("vectorize", image, "-o", tmp_path / "b.gpkg")
    assert (refused.code, "3 bands" in refused.err) == (3, True)
    assert run("vectorize", tmp_path / "absent.tif", "-o", tmp_path / "b.gpkg").code == 3
