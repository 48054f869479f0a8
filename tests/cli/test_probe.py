"""geohier probe, as it is typed."""

from collections.abc import Callable
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from labelled_fields import KINDS, point, points_of_all, truth, values, write_places

Write = Callable[..., Path]


@pytest.fixture
def scene(write_scene: Write) -> Path:
    return write_scene(values(), descriptions=("red", "green", "blue"))


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    shapes, kinds = points_of_all()
    return write_places(tmp_path / "points.geojson", shapes, "EPSG:4326", kind=kinds)


def test_a_handful_of_points_becomes_a_map_and_an_honest_estimate(
    run: Callable, scene: Path, labels: Path, tmp_path: Path
) -> None:
    out = tmp_path / "map.tif"
    words = ("probe", scene, "--labels", labels, "--attribute", "kind", "--out", out)
    result = run(*words, "--confidence")
    assert result.code == 0
    lines = result.out.splitlines()
    rows = {line.split()[0]: line.split()[1:] for line in lines if line.split()[:1]}
    for kind in KINDS:
        assert rows[kind] == ["5", "5", "5", "1.000", "1.000"]
    assert "of n = 15 places, left out in 5 turns" in result.out
    assert lines[-1].startswith(f"{out}: written in")
    assert f"note: {labels}: 15 features" in result.err
    with rasterio.open(out) as file:
        np.testing.assert_array_equal(file.read(1), truth())
        assert len({file.colormap(1)[k] for k in range(3)}) == 3
    assert (tmp_path / "map_confidence.tif").is_file()
    again = run(*words, "--confidence", "--quiet")
    assert (again.code, again.err) == (0, "")
    assert again.out.splitlines()[-1] == f"{out}: up to date"
    other = run(*words, "--l2", "2")
    assert other.code == 2
    assert "--overwrite" in other.err
    assert run(*words, "--l2", "2", "--overwrite").code == 0


def test_without_out_nothing_is_written(
    run: Callable, scene: Path, labels: Path, tmp_path: Path
) -> None:
    before = sorted(tmp_path.rglob("*"))
    words = ("probe", scene, "-l", labels, "-a", "kind", "--json")
    result = run(*words, "--head", "neighbours", "--k", 3, "--distance", "cosine", "--quiet")
    assert (result.code, result.err) == (0, "")
    found = result.json
    assert found["bands"] == ["red", "green", "blue"]
    assert found["estimate"]["n"] == 15
    assert found["estimate"]["accuracy"] == 1
    assert [row["class"] for row in found["classes"]] == list(KINDS)
    assert "outputs" not in found
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("head", ["linear", "prototype", "neighbours"])
def test_each_option_of_a_head_changes_what_it_says_of_a_pixel(
    run: Callable, write_scene: Write, labels: Path, tmp_path: Path, head: str
) -> None:
    scene = write_scene(np.clip(values() + 60.0, 1, 250).astype("uint8"))
    more = {"linear": ("--l2", 5), "prototype": ("--distance", "cosine"), "neighbours": ("--k", 9)}
    found = []
    for at, words in enumerate([(), more[head]]):
        out = tmp_path / f"map{at}.tif"
        common = ("probe", scene, "-l", labels, "-a", "kind", "-o", out, "--probabilities", "-q")
        assert run(*common, "--head", head, *words).code == 0
        with rasterio.open(tmp_path / f"map{at}_probabilities.tif") as file:
            found.append(file.read())
    assert (found[0] != found[1]).any()


def test_bands_radius_and_nodata_are_obeyed(
    run: Callable, scene: Path, labels: Path, tmp_path: Path
) -> None:
    words = ("probe", scene, "-l", labels, "-a", "kind", "--json", "-q")
    assert run(*words, "--bands", "blue,1").json["bands"] == ["blue", "red"]
    wide = run(*words, "--radius-m", 25).json["classes"]
    assert sum(row["pixels"] for row in wide) > 150
    assert sum(row["places"] for row in wide) == 15
    value = values()[0, 10, 10]
    out = tmp_path / "map.tif"
    assert run(*words, "--nodata", value, "--out", out).code == 0
    with rasterio.open(out) as file:
        np.testing.assert_array_equal(file.read(1) == 255, (values() == value).any(axis=0))


def test_a_plain_image_that_declares_nothing_serves(
    run: Callable, write_scene: Write, labels: Path, tmp_path: Path
) -> None:
    scene = write_scene(values())
    result = run("probe", scene, "-l", labels, "-a", "kind", "-o", tmp_path / "map.tif")
    assert result.code == 0
    with rasterio.open(tmp_path / "map.tif") as file:
        np.testing.assert_array_equal(file.read(1), truth())


def test_places_that_cannot_be_left_out_are_said_to_be_unjudged(
    run: Callable, scene: Path, tmp_path: Path
) -> None:
    shapes = [shapely.box(0, 0, 20, 20), shapely.box(35, 0, 55, 20)]
    path = write_places(tmp_path / "two.gpkg", shapes, kind=["a", "b"])
    result = run("probe", scene, "-l", path, "-a", "kind")
    assert result.code == 0
    assert "nothing is known of the accuracy" in result.out
    found = run("probe", scene, "-l", path, "-a", "kind", "--json").json
    assert found["estimate"] == {"n": 0, "turns": 0, "confusion": [[0, 0], [0, 0]]}
    assert found["classes"][0]["recall"] is None


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ((), 2, "say which attribute names the classes; its attributes are kind"),
        (("-a", "nope"), 2, "no attribute nope; its attributes are kind"),
        (("-a", "kind", "--k", 3), 2, "k is for the head neighbours, not for linear"),
        (("-a", "kind", "--head", "neighbours", "--k", 99), 2, "there are 15 labelled pixels"),
        (("-a", "kind", "--l2", 0), 2, "l2 must be above 0"),
        (("-a", "kind", "--radius-m", -1), 2, "radius of -1 m"),
        (("-a", "kind", "--bands", "nir"), 2, "no band 'nir' in scene, which has red green blue"),
        (("-a", "kind", "--head", "forest"), 2, "'forest' is not one of"),
        (("-a", "kind", "-q", "-o", "map.png"), 2, "results are GeoTIFFs: call it map.tif"),
    ],
)
def test_options_that_cannot_be_are_told_in_one_line(
    run: Callable, scene: Path, labels: Path, words: tuple, code: int, says: str
) -> None:
    result = run("probe", scene, "-l", labels, *words)
    assert result.code == code
    assert says in result.err
    assert result.err.count("\n") == 1


def test_labels_that_do_not_serve_are_told_in_one_line(
    run: Callable, scene: Path, tmp_path: Path
) -> None:
    away = write_places(tmp_path / "away.gpkg", [point(9999, 0)] * 2, kind=["a", "b"])
    alike = write_places(tmp_path / "alike.gpkg", [point(9, 0), point(8, 3)], kind=["a", "a"])
    line = shapely.LineString([(1, 1), (20, 20)])
    lines = write_places(tmp_path / "lines.gpkg", [line, line], kind=["a", "b"])
    table = tmp_path / "table.csv"
    table.write_text("x,y,kind\n1,2,a\n")
    brace = tmp_path / "brace.geojson"
    brace.write_text("{")
    unplaced = write_places(tmp_path / "unplaced.shp", [point(9, 0)], kind=["a"])
    unplaced.with_suffix(".prj").unlink()
    bare = tmp_path / "bare.geojson"
    frame = geopandas.GeoDataFrame({"kind": []}, geometry=[], crs=4326)
    frame.to_file(bare, driver="GeoJSON")
    for path, says in {
        away: "lie outside the image",
        alike: "all labelled pixels are a: a map needs two classes",
        lines: "holds no polygons or points",
        scene: "is not a vector file",
        table: "is not a vector file that geohier reads: convert it (ogr2ogr) to GeoPackage",
        brace: "being in a supported file format.\n",
        unplaced: "has no CRS, so its features cannot be placed: write it with one",
        tmp_path: "is a folder: give a file",
        bare: "holds no features",
        tmp_path / "gone.gpkg": "no such file",
    }.items():
        result = run("probe", scene, "-l", path, "-a", "kind", "-q")
        assert result.code == 3, path
        assert says in result.err
        assert result.err.count("\n") == 1
