"""Objects in vector files, scored against true ones."""

from pathlib import Path

import geopandas
import numpy as np
import pytest
import shapely
from cli.conftest import Run

CORNER = np.array([500_000, 5_000_000])
TRUE = [(10, 10), (30, 10), (50, 50), (90, 20)]


def write(path: Path, places: list[tuple[float, float]], crs: int = 32631, **columns: list) -> Path:
    points = shapely.points(np.reshape(places, (-1, 2)) + CORNER)
    frame = geopandas.GeoDataFrame(columns, geometry=list(points), crs="EPSG:32631")
    path.parent.mkdir(exist_ok=True, parents=True)
    frame.to_crs(crs).to_file(path)
    return path


def test_files_are_scored_in_metres_whatever_their_crs(run: Run, tmp_path: Path) -> None:
    labels = write(tmp_path / "true.geojson", TRUE, crs=4326)
    near = [(x + 3, y) for x, y in TRUE[:3]] + [(200, 200)]
    found = write(tmp_path / "found.gpkg", near, score=[0.9, 0.8, 0.7, 0.6])
    one = run("evaluate", found, "--labels", labels, "--within-m", 3.1, "--json").json
    assert one["classes"]["object"]["f1"] == 0.75
    assert one["classes"]["object"]["rmse_m"] == pytest.approx(3, abs=0.01)
    assert one["classes"]["object"]["threshold"] is None
    strict = run("evaluate", found, "--labels", labels, "--within-m", 2.9, "--json").json
    assert strict["classes"]["object"]["right"] == 0
    assert (
        "Objects within 3.1 m, 1 scenes"
        in run("evaluate", found, "--labels", labels, "--within-m", 3.1).out
    )


def test_classes_and_folders_are_matched_by_name(run: Run, tmp_path: Path) -> None:
    kinds = ["tree", "car", "tree", "car"]
    for name, shift in (("a", 1), ("b", 50)):
        write(tmp_path / "labels" / f"{name}.geojson", TRUE, kind=kinds)
        places = [(x + shift, y) for x, y in TRUE]
        write(tmp_path / "found" / f"{name}.gpkg", places, class_name=kinds, score=[0.5] * 4)
    words = ("evaluate", tmp_path / "found", "--labels", tmp_path / "labels", "--within-m", 2)
    done = run(*words, "--attribute", "kind", "--json").json
    assert done["scenes"] == 2
    assert done["classes"]["tree"]["recall"] == done["classes"]["car"]["recall"] == 0.5
    assert "name the column" in run(*words).err
    assert "no column sort" in run(*words, "--attribute", "sort").err
    (tmp_path / "labels" / "b.geojson").unlink()
    missing = run(*words, "--attribute", "kind")
    assert (missing.code, "holds no file of that name" in missing.err) == (3, True)


def test_mistakes_are_one_line(run: Run, tmp_path: Path) -> None:
    labels = write(tmp_path / "true.geojson", TRUE)
    for words, code in (
        ((tmp_path / "none.gpkg", "--labels", labels, "--within-m", 2), 3),
        ((labels, "--labels", labels, "--within-m", -2), 2),
        ((labels, "--within-m", 2), 2),
        ((labels, "--labels", labels, "--within-m", 2, "--classes", "a=1"), 2),
        ((labels, "--labels", labels, "--within-m", 2, "--split", "val"), 2),
        ((tmp_path / "labels", "--labels", labels, "--within-m", 2), 3),
    ):
        (tmp_path / "labels").mkdir(exist_ok=True)
        refused = run("evaluate", *words)
        assert refused.code == code, refused.err
        assert len(refused.err.splitlines()) <= 2
        assert "Traceback" not in refused.err


def test_files_that_cannot_be_scored_are_told_in_one_line(run: Run, tmp_path: Path) -> None:
    labels = write(tmp_path / "true.geojson", TRUE)
    none = write(tmp_path / "none.gpkg", [])
    for columns, said in (
        ({"score": ["much"] * 4}, "score holds what is no number"),
        ({"score": [0.5, None, None, 0.5]}, "2 of 4 objects have no score"),
    ):
        odd = write(tmp_path / "odd.gpkg", TRUE, **columns)
        refused = run("evaluate", odd, "--labels", labels, "--within-m", 2)
        assert (refused.code, said in refused.err) == (3, True), refused.err
    empty = run("evaluate", none, "--labels", none, "--within-m", 2)
    assert (empty.code, "hold no object" in empty.err) == (3, True), empty.err
    unnamed = write(tmp_path / "unnamed.gpkg", TRUE, class_name=["tree", "tree", "tree", None])
    words = ("evaluate", unnamed, "--labels", labels, "--within-m", 2)
    assert "name the column" in run(*words).err
