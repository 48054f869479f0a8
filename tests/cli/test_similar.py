"""geohier similar, as it is typed."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
from labelled_fields import PLACE, point, truth, values, write_places

Write = Callable[..., Path]
IN_FOREST = "{:.1f},{:.1f}".format(*(PLACE @ (45.5, 10.5)))


@pytest.fixture
def scene(write_scene: Write) -> Path:
    return write_scene(values(), descriptions=("red", "green", "blue"))


def test_a_place_gives_a_raster_and_a_ranked_list(
    run: Callable, scene: Path, tmp_path: Path
) -> None:
    out, listing = tmp_path / "out.tif", tmp_path / "places.csv"
    words = ("similar", scene, "--at", IN_FOREST, "--out", out, "--apart-m", 50)
    result = run(*words, "--list", listing, "--count", 4)
    assert result.code == 0, result.err
    rows = [line.split() for line in result.out.splitlines()]
    ranked = [row for row in rows if len(row) == 6 and row[0].isdigit()]
    assert [row[0] for row in ranked] == ["1", "2", "3", "4"]
    assert f"{out}: written" in result.out
    with rasterio.open(out) as file:
        similar = file.read(1)
    assert similar[10, 45] == 250
    assert similar[truth() == 1].min() > similar[truth() != 1].max()
    with listing.open() as file:
        for row, shown in zip(csv.DictReader(file), ranked, strict=True):
            assert float(row["similarity"]) == pytest.approx(float(shown[1]), abs=1e-4)
            assert truth()[int(row["row"]), int(row["column"])] == 1
    assert f"{out}: up to date" in run(*words).out
    assert run(*words, "--list", listing).code == 2
    assert run(*words, "--list", listing, "--overwrite").code == 0


def test_places_of_a_file_give_the_same_as_their_coordinates(
    run: Callable, scene: Path, tmp_path: Path
) -> None:
    path = write_places(tmp_path / "one.geojson", [point(10, 45)], "EPSG:4326")
    by_file = run("similar", scene, "--places", path, "--json").json
    lon, lat = geopandas.read_file(path).geometry[0].coords[0]
    assert run("similar", scene, "--at", IN_FOREST, "--json").json == by_file
    assert run("similar", scene, "--at", f"{lon},{lat}", "--lonlat", "--json").json == by_file
    assert len(by_file["places"]) == 10
    assert f"note: {path}: 1 features" in run("similar", scene, "--places", path).err
    several = run("similar", scene, "--at", IN_FOREST, "--at", "500105,4999895", "--json").json
    assert several != by_file


def test_a_list_never_takes_the_place_of_what_is_read_for_it(
    run: Callable, scene: Path, tmp_path: Path
) -> None:
    path = write_places(tmp_path / "one.geojson", [point(10, 45)], "EPSG:4326")
    before = path.read_bytes()
    result = run("similar", scene, "--places", path, "--list", path, "--overwrite")
    assert result.code == 2
    assert "is read for this result: choose another path" in result.err
    assert path.read_bytes() == before


def test_a_list_makes_its_folder(run: Callable, scene: Path, tmp_path: Path) -> None:
    listing = tmp_path / "new" / "folder" / "list.csv"
    assert run("similar", scene, "--at", IN_FOREST, "--list", listing).code == 0
    assert len(listing.read_text().splitlines()) == 11


def test_a_list_without_a_place_says_why(run: Callable, scene: Path) -> None:
    result = run("similar", scene, "--at", IN_FOREST, "--apart-m", 1e9)
    assert result.code == 0
    assert "note: no place with data is that far from the given ones" in result.err


def test_a_file_without_places_is_told_as_that(run: Callable, scene: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare.geojson"
    bare.write_text('{"type": "FeatureCollection", "features": []}')
    result = run("similar", scene, "--places", bare)
    assert (result.code, result.err.count("\n")) == (3, 1)
    assert "holds no features: give points or polygons" in result.err


def test_a_list_as_geojson_is_in_degrees(run: Callable, scene: Path, tmp_path: Path) -> None:
    listing = tmp_path / "places.geojson"
    words = ("similar", scene, "--at", IN_FOREST, "-n", 3, "--list", listing, "--json", "-q")
    found = run(*words).json["places"]
    frame = geopandas.read_file(listing)
    assert frame.crs == "EPSG:4326"
    assert frame["rank"].tolist() == [1, 2, 3]
    xy = frame.to_crs(32631).geometry
    np.testing.assert_allclose(xy.x, [one["x"] for one in found], atol=1e-3)
    assert json.loads(listing.read_text())["features"][0]["properties"].keys() == {
        "rank",
        "similarity",
        "x",
        "y",
        "row",
        "column",
    }


def test_each_option_changes_the_list(run: Callable, scene: Path) -> None:
    words = ("similar", scene, "--at", IN_FOREST, "--json", "-q", "-n", 5)
    plain = run(*words).json
    for more in (
        ("--bands", "red,green"),
        ("--radius-m", 40),
        ("--apart-m", 20),
        ("--nodata", int(values()[1, 3, 3])),
    ):
        result = run(*words, *more)
        assert result.code == 0, result.err
        assert result.json != plain, more


def test_negative_coordinates_are_taken_as_they_are(run: Callable, scene: Path) -> None:
    result = run("similar", scene, "--at", "-77.03,-12.04", "--lonlat")
    assert result.code == 3
    assert "-77.03,-12.04 lies outside the raster, which spans 3 to" in result.err


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ((), 2, "give either --at X,Y or --places FILE"),
        (("--at", IN_FOREST, "--places", "x.gpkg"), 2, "give either --at X,Y or --places FILE"),
        (("--at", "500000"), 2, "--at '500000' is no place: give X,Y"),
        (("--at", "a,b"), 2, "--at 'a,b' is no place"),
        (("--at", "nan,1"), 2, "give finite numbers"),
        (("--places", "x.gpkg", "--lonlat"), 2, "--lonlat is for --at"),
        (("--places", "x.gpkg"), 3, "no such file"),
        (("--at", "1,1"), 3, "give degrees with --lonlat"),
        (("--at", IN_FOREST, "--count", 0), 2, "ask for 1 or more"),
        (("--at", IN_FOREST, "--apart-m", 0), 2, "give a distance above 0"),
        (("--at", IN_FOREST, "--radius-m", -3), 2, "radius of -3 m"),
        (("--at", IN_FOREST, "--bands", "red"), 2, "one band has not"),
        (("--at", IN_FOREST, "--list", "places.txt"), 2, "ends in .geojson or .csv"),
        (("--at", IN_FOREST, "--out", "like.png"), 2, "results are GeoTIFFs: call it like.tif"),
    ],
)
def test_mistakes_are_told_in_one_line(
    run: Callable, scene: Path, words: tuple, code: int, says: str
) -> None:
    result = run("similar", scene, *words, "-q")
    assert result.code == code
    assert says in result.err
    assert result.err.count("\n") == 1
