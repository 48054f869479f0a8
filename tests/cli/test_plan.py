"""geohier plan, as it is typed: what it says is what predict does."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
import typer
from shapely.geometry import box
from small_models import COLOURS, Echo

from geohier.cli.main import app
from geohier.models.manifest import read_card

Write = Callable[..., Path]


@pytest.fixture
def scene(write_scene: Write) -> Path:
    """Three bands in another order than the model's."""
    values = np.random.default_rng(0).integers(1, 200, size=(3, 300, 500), dtype="uint8")
    return write_scene(values, descriptions=("B02", "B03", "B04"))


def options_of(command: str) -> set[str]:
    parameters = typer.main.get_command(app).commands[command].params
    return {name for one in parameters for name in one.opts if name.startswith("--")}


def test_plan_takes_every_option_of_predict_that_changes_what_it_says() -> None:
    only_predict = {"--co", "--restart", "--overwrite", "--strict", "--dry-run", "--quiet"}
    assert options_of("predict") - options_of("plan") == only_predict
    assert options_of("plan") <= options_of("predict")


def test_a_plan_says_how_scene_and_model_fit_and_what_the_work_is(
    run: Callable, model: Path, scene: Path, tmp_path: Path
) -> None:
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    words = ("--model", model, "--size", 64, "--overlap", 32, "--precision", "fp32")
    result = run("plan", scene, *words, "--out", tmp_path / "maps" / "map.tif")
    assert (result.code, result.err) == (0, "")
    lines = {line[:11].strip(): line[12:] for line in result.out.splitlines()}
    for name, says in {
        "scene": r"scene, 300 x 500 px, EPSG:32631",
        "GSD": r"10 m \(trained on 8 to 12 m\)",
        "bands": r"red = B04, green = B03, blue = B02",
        "tiles": r"135 \(9 x 15\) of 64 px, overlap 32 px, margin 8 px",
        "redundancy": r"3\.69 tile pixels per raster pixel",
        "skipped": r"0\.0% of the tiles, known to hold nothing wanted",
        "runs on": r"(cpu|cuda|mps) in fp32, batches of \d+, 1 swath",
        "memory": r"about [\d.e+]+ [KMG]iB",
        "disk": r"up to 16\.\d MiB while it runs, [\d.e+]+ [MGT]iB free",
        "time": r"about \d+ s",
        "writes": r"labels",
        "level 0": r"stride 4 px, GSD 40 m, objects from 0 m to 640 m",
        "level 3": r"stride 32 px, GSD 320 m, objects from 2\.56e\+03 m",
    }.items():
        assert re.fullmatch(says, lines[name]), (name, lines[name])
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_what_is_planned_is_what_is_done(
    run: Callable, model: Path, scene: Path, tmp_path: Path
) -> None:
    words = ("--model", model, "--confidence", "--json")
    plan = run("plan", scene, *words).json
    done = run("predict", scene, "--out", tmp_path / "map.tif", *words, "--quiet").json
    for name in ("height", "width", "tiles", "redundancy", "notes", "scene"):
        assert plan[name] == done[name], name
    assert plan["layers"] == list(done["outputs"])
    with rasterio.open(tmp_path / "map.tif") as labels:
        tags = labels.tags()
    size, overlap, margin = (plan[f"{name}_px"] for name in ("tile_size", "overlap", "margin"))
    assert tags["geohier_tiles"] == f"size {size}, overlap {overlap}, margin {margin}"
    assert tags["geohier_precision"] == plan["precision"]
    assert margin == read_card(model).margins_px[95]


def test_the_time_is_that_of_the_tiles_that_are_not_skipped(
    run: Callable, echo: Echo, scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("geohier.inference.preview.seconds_per_tile", lambda *given: 2.0)
    with rasterio.open(scene) as file:
        (left, top), (right, bottom) = file.transform @ (5, 5), file.transform @ (95, 95)
    area = geopandas.GeoDataFrame(geometry=[box(left, bottom, right, top)], crs="EPSG:32631")
    area.to_file(tmp_path / "area.gpkg")
    words = ("-m", "echo", "--size", 100, "--overlap", 0, "--json")
    assert run("plan", scene, *words).json["seconds"] == 2 * 15
    part = run("plan", scene, *words, "--aoi", tmp_path / "area.gpkg").json
    assert (part["skipped_share"], part["seconds"]) == (14 / 15, 2)


def test_notes_and_what_is_not_known_are_said(
    run: Callable, echo: Echo, write_scene: Write
) -> None:
    echo.card = replace(echo.card, gsd_m=(8, 12), strides=(4, 8))
    drawn = write_scene(np.zeros((3, 40, 40), "uint8"), "drawn.tif", crs=None)
    result = run("plan", drawn, "-m", "echo", "--allow-ungeoreferenced")
    assert (result.code, result.err) == (0, "")
    assert "drawn, 40 x 40 px, no CRS" in result.out
    assert re.search(r"^GSD +not known \(trained on 8 to 12 m\)$", result.out, re.MULTILINE)
    notes = re.findall(r"^note +(.*)$", result.out, re.MULTILINE)
    assert notes[0].startswith("about 100% of the pixels are 0 in all bands")
    assert notes[1] == "the raster has no CRS: its GSD is not known"
    assert "level 0" not in result.out


def test_a_scene_that_cannot_be_predicted_does_not_hide_the_plans_of_others(
    run: Callable,
    echo: Echo,
    write_scene: Write,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "scenes").mkdir()
    for name, bands in (("a", 2), ("b", 3)):
        values = np.full((bands, 20, 20), 9, "uint8")
        write_scene(values, f"scenes/{name}.tif", descriptions=COLOURS[:bands])
    (tmp_path / "map.tif").touch()  # where no --out is given, nothing depends on what lies around
    monkeypatch.chdir(tmp_path)
    result = run("plan", "scenes", "-m", "echo")
    assert (result.code, result.err) == (6, "")
    failed, planned = result.out.split("\n\n")
    assert failed.splitlines()[0] == "scene       a"
    assert "the raster's bands are red green, the model reads red green blue" in failed
    assert planned.startswith("scene       b, 20 x 20 px")
    rows = run("plan", "scenes", "-m", "echo", "--json").json
    assert [row.get("exit_code") for row in rows] == [4, None]
    alone = run("plan", "scenes/a.tif", "-m", "echo", "--json")
    assert (alone.code, alone.out, len(alone.err.splitlines())) == (4, "", 1)


def test_a_mosaic_is_planned_as_one(run: Callable, echo: Echo, scene: Path) -> None:
    plan = run("plan", scene, "--mosaic", "-m", "echo", "--json").json
    assert (plan["scene"], plan["width"]) == ("mosaic", 500)
    assert "1 rasters are read as one" in plan["notes"]
