"""geohier predict, as it is typed: what each option does, one scene and many."""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
import rasterio.shutil
import torch
import typer
from affine import Affine
from rasterio.enums import ColorInterp
from shapely.geometry import box
from small_models import COLOURS, Echo

from geohier.cli.main import app
from geohier.geo.bands import Band, BandSet

NODATA = 255
SHAPE = (40, 60)
TILES = ("--size", 16, "--overlap", 4, "--device", "cpu")

Write = Callable[..., Path]


def values(seed: int = 0, bands: int = 3, high: int = 250) -> np.ndarray:
    """Return random bytes in which no two bands are equal."""
    rng = np.random.default_rng(seed)
    draws = np.argsort(rng.random((high, SHAPE[0] * SHAPE[1]), dtype="float32"), axis=0)[:bands]
    return (draws + 1).reshape(bands, *SHAPE).astype("uint8")


def brightest(pixels: np.ndarray) -> np.ndarray:
    return pixels.argmax(axis=0)


def read(path: Path, band: int = 1) -> np.ndarray:
    with rasterio.open(path) as file:
        return file.read(band)


@pytest.fixture
def scene(write_scene: Write) -> Path:
    return write_scene(values(), descriptions=COLOURS)


@pytest.fixture
def predict(run: Callable, echo: Echo, scene: Path, tmp_path: Path) -> Callable:
    """Return a function that predicts scene.tif, or others, to map.tif with more options."""

    def command(*words: object, of: object = None, code: int = 0) -> object:
        scenes = of if isinstance(of, list) else [of or scene]
        where = () if "--out" in words else ("--out", tmp_path / "map.tif")
        result = run("predict", *scenes, "--model", "echo", *where, *TILES, *words)
        assert result.code == code, result.err
        return result

    return command


def test_every_option_is_tried_here() -> None:
    commands = typer.main.get_command(app)
    options = {
        name
        for option in commands.get_command(None, "predict").params
        for name in option.opts
        if name.startswith("--")
    }
    tried = set(re.findall(r"--[a-z-]+", Path(__file__).read_text(encoding="utf-8")))
    assert options - tried == {"--help"} - tried


def test_one_scene_becomes_one_file_and_one_line(
    predict: Callable, scene: Path, tmp_path: Path
) -> None:
    result = predict()
    out = tmp_path / "map.tif"
    np.testing.assert_array_equal(read(out), brightest(values()))
    pattern = re.escape(str(out)) + r": 40 x 60 px from 15 tiles in \d+\.\d s \([\d.e-]+ Mpx/s\)\n"
    assert re.fullmatch(pattern, result.out)
    assert result.err == ""
    assert {path.name for path in tmp_path.iterdir()} == {
        "scene.tif",
        "map.tif",
        "map.tif.run.json",
    }


def test_more_layers_lie_beside_the_labels(
    predict: Callable, write_scene: Write, tmp_path: Path
) -> None:
    odds = np.full((3, *SHAPE), 10, "uint8")
    odds[1, :, 30:] = 11
    odds[:, 0, 0] = [200, 10, 10]
    predict("--probabilities", "--confidence", "--entropy", of=write_scene(odds, "odds.tif"))
    e = np.e
    expected = {
        "": [0, 0, 1],
        "_confidence": [250, 250 / 3, 250 * e / (e + 2)],
        "_entropy": [0, 250, 250 * (np.log(e + 2) - e / (e + 2)) / np.log(3)],
    }
    for suffix, numbers in expected.items():
        found = read(tmp_path / f"map{suffix}.tif")
        assert [found[0, 0], found[5, 5], found[5, 55]] == [round(number) for number in numbers]
    with rasterio.open(tmp_path / "map_probabilities.tif") as file:
        assert file.descriptions == ("land", "water", "roof")
        assert file.scales == (1 / 250,) * 3
        shares = [1 / (e + 2), e / (e + 2), 1 / (e + 2)]
        assert file.read()[:, 5, 55].tolist() == [round(250 * share) for share in shares]


def test_a_class_with_a_threshold_is_chosen_where_it_is_reached(
    predict: Callable, write_scene: Write, tmp_path: Path
) -> None:
    odds = np.full((3, *SHAPE), 10, "uint8")
    odds[1] = 11
    odds[2, :, :30] = 8
    predict("--threshold", "roof=0.2", of=write_scene(odds, "odds.tif"))
    labels = read(tmp_path / "map.tif")
    assert (labels[:, :30] == 1).all()
    assert (labels[:, 30:] == 2).all()


def test_outside_the_area_of_interest_nothing_is_done(
    predict: Callable, echo: Echo, scene: Path, tmp_path: Path
) -> None:
    with rasterio.open(scene) as file:
        (left, top), (right, bottom) = file.transform @ (4, 6), file.transform @ (12, 10)
    area = geopandas.GeoDataFrame(geometry=[box(left, bottom, right, top)], crs="EPSG:32631")
    area.to_crs("EPSG:4326").to_file(tmp_path / "area.geojson")
    predict("--aoi", tmp_path / "area.geojson")
    expected = np.full(SHAPE, NODATA)
    expected[6:10, 4:12] = brightest(values())[6:10, 4:12]
    found = read(tmp_path / "map.tif")
    assert (found != expected).mean() < 0.02, "more than the rim that reprojecting may move"
    assert len(echo.seen) == 1


def test_size_and_overlap_cut_the_raster(predict: Callable, echo: Echo) -> None:
    found = predict("--size", 32, "--overlap", 8, "--json").json
    assert found["tiles"] == 6
    assert set(echo.seen) == {(1, 3, 32, 32)}


class LeftAndRight(Echo):
    """Sees land in the left half of a tile and water in the right one."""

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        scores = torch.zeros_like(pixels)
        scores[..., : pixels.shape[-1] // 2] = 9
        scores[:, 1] = 9 - scores[:, 0]
        scores[:, 2] = -9
        return scores


@pytest.mark.parametrize(("blend", "sharp"), [("crop", True), ("taper", False)])
def test_tiles_are_blended_or_cropped(
    blend: str,
    sharp: bool,
    predict: Callable,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("geohier.inference.predictor.load_model", LeftAndRight().loaded)
    predict("--blend", blend, "--confidence", "--size", 32, "--overlap", 16)
    sure = read(tmp_path / "map_confidence.tif") > 240
    assert sure.all() == sharp


def test_tiles_go_through_the_model_in_batches(predict: Callable, echo: Echo) -> None:
    predict("--batch-size", 4)
    assert {shape[0] for shape in echo.seen} == {4, 1}  # rows of 5 tiles
    assert sum(shape[0] for shape in echo.seen) == 15


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has the device")
def test_a_device_that_is_not_there_stops_before_any_scene(
    predict: Callable, tmp_path: Path, scene: Path
) -> None:
    result = predict("--device", "cuda", of=[scene, tmp_path], code=5)
    assert result.err == (
        "geohier: device cuda was asked for, but PyTorch sees none: use --device cpu\n"
    )


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_the_precision_is_written_into_the_map(
    precision: str, predict: Callable, tmp_path: Path
) -> None:
    predict("--precision", precision)
    with rasterio.open(tmp_path / "map.tif") as file:
        assert file.tags()["geohier_precision"] == precision


def test_d4_asks_the_model_eight_times(predict: Callable, echo: Echo, tmp_path: Path) -> None:
    predict("--tta", "d4")
    assert len(echo.seen) == 8 * 15
    np.testing.assert_array_equal(read(tmp_path / "map.tif"), brightest(values()))


@pytest.mark.parametrize("bands", ["3,2,1", "blue, green, red", "B02,green,1"])
def test_bands_may_be_named_or_counted(bands: str, predict: Callable, tmp_path: Path) -> None:
    predict("--bands", bands)
    np.testing.assert_array_equal(read(tmp_path / "map.tif"), brightest(values()[::-1]))


def test_a_pixel_may_be_valid_by_any_of_its_bands(
    predict: Callable, write_scene: Write, tmp_path: Path
) -> None:
    pixels = values().astype("float32")
    pixels[brightest(pixels)[20, 30], 20, 30] = np.nan
    holed = write_scene(pixels, "holed.tif", descriptions=COLOURS)
    for rule, left in (("all", NODATA), ("any", np.nanargmax(pixels[:, 20, 30]))):
        predict("--valid", rule, "--overwrite", of=holed)
        assert read(tmp_path / "map.tif")[20, 30] == left


@pytest.mark.parametrize(("alpha", "hidden"), [("auto", False), ("none", False), ("band", True)])
def test_a_band_is_alpha_if_one_says_so(
    alpha: str, hidden: bool, predict: Callable, write_scene: Write, tmp_path: Path
) -> None:
    pixels = values(bands=4)
    pixels[3, 7, 9] = 0
    odd = write_scene(pixels, "odd.tif")
    with rasterio.open(odd, "r+") as file:
        file.colorinterp = (*file.colorinterp[:3], ColorInterp.alpha)
    result = predict("--alpha", alpha, of=odd)
    assert (read(tmp_path / "map.tif")[7, 9] == NODATA) == hidden
    assert ("--alpha band to use it" in result.err) == (alpha == "auto")


def test_nodata_may_be_said_anew(predict: Callable, tmp_path: Path) -> None:
    predict("--nodata", 7)
    expected = np.where((values() == 7).any(axis=0), NODATA, brightest(values()))
    assert (expected == NODATA).any()
    np.testing.assert_array_equal(read(tmp_path / "map.tif"), expected)


def test_units_and_scales_may_be_forced(
    predict: Callable, echo: Echo, write_scene: Write, tmp_path: Path
) -> None:
    echo.expects(high=3)
    result = predict(code=4)
    assert "convert the raster to the same units, or use --force-scale" in result.err
    predict("--force-scale")
    assert (tmp_path / "map.tif").exists()


def test_a_gsd_may_be_forced(predict: Callable, echo: Echo, tmp_path: Path) -> None:
    echo.card = replace(echo.card, gsd_m=(0.1, 0.2))
    assert "resample the raster, or use --force-gsd" in predict(code=4).err
    predict("--force-gsd")
    assert (tmp_path / "map.tif").exists()


def test_little_memory_cuts_the_work_into_swaths(predict: Callable, tmp_path: Path) -> None:
    whole = predict("--dry-run", "--json").json
    predict("--memory-gb", whole["memory_bytes"] * 0.95 / 2**30)
    assert whole["swaths"] == 1
    record = json.loads((tmp_path / "map.tif.run.json").read_text())
    assert len(record["settings"]["swaths"]) > 1
    np.testing.assert_array_equal(read(tmp_path / "map.tif"), brightest(values()))


def test_larger_scenes_than_allowed_are_refused(predict: Callable) -> None:
    predict("--max-pixels", 2400)
    assert "raise --max-pixels" in predict("--max-pixels", 2399, code=3).err


def test_a_scene_without_a_place_is_mapped_in_pixels_if_allowed(
    predict: Callable, write_scene: Write, tmp_path: Path
) -> None:
    drawn = write_scene(values(), "drawn.tif", crs=None)
    assert "pass --allow-ungeoreferenced" in predict(of=drawn, code=3).err
    predict("--allow-ungeoreferenced", of=drawn)
    np.testing.assert_array_equal(read(tmp_path / "map.tif"), brightest(values()))


def test_creation_options_reach_the_file(predict: Callable, tmp_path: Path) -> None:
    predict("--co", "BLOCKSIZE=128", "--co", "compress=lzw")
    with rasterio.open(tmp_path / "map.tif") as file:
        assert file.block_shapes == [(128, 128)]
        assert file.compression.name == "lzw"


def test_the_output_of_another_run_is_kept_unless_overwritten(
    predict: Callable, tmp_path: Path
) -> None:
    predict()
    first = (tmp_path / "map.tif").read_bytes()
    assert "up to date" in predict().out
    result = predict("--nodata", 7, code=2)
    assert "map.tif is there already and was made by another run" in result.err
    assert '(bands.blue.nodata was "None", now "7.0"): choose --overwrite' in result.err
    assert (tmp_path / "map.tif").read_bytes() == first
    predict("--nodata", 7, "--overwrite")
    assert (tmp_path / "map.tif").read_bytes() != first


def test_parts_of_another_run_are_kept_unless_restarted(
    predict: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("geohier.raster.store.PartStore.finish", interrupted)
        predict(code=130)
    result = predict("--size", 32, code=2)
    assert "tiles.size was 16, now 32" in result.err
    assert "choose --restart" in result.err
    predict("--size", 32, "--restart")
    assert {path.name for path in tmp_path.iterdir()} == {
        "scene.tif",
        "map.tif",
        "map.tif.run.json",
    }


def interrupted(*arguments: object) -> None:
    raise KeyboardInterrupt


def test_a_run_that_was_interrupted_makes_only_what_is_missing(
    predict: Callable, echo: Echo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("geohier.raster.store.PartStore.finish", interrupted)
        result = predict(code=130)
    assert result.err == "geohier: interrupted; run the same command again to go on\n"
    assert len(echo.seen) == 15
    journal = tmp_path / "map.tif.parts" / "parts.jsonl"
    journal.write_text("".join(journal.read_text().splitlines(keepends=True)[:2]))
    predict()
    assert len(echo.seen) == 15 + 10, "the last row of three, and the one that hands over to it"
    np.testing.assert_array_equal(read(tmp_path / "map.tif"), brightest(values()))


def test_damaged_blocks_are_fatal_if_one_is_strict(
    predict: Callable, write_scene: Write, tmp_path: Path
) -> None:
    damaged = write_scene(
        values(), "damaged.tif", tiled=True, blockxsize=16, blockysize=16, compress="deflate"
    )
    with rasterio.open(damaged) as file:
        at = int(file.get_tag_item("BLOCK_OFFSET_1_1", "TIFF", bidx=1))
    content = bytearray(damaged.read_bytes())
    content[at + 2 : at + 40] = bytes(38)
    damaged.write_bytes(content)

    assert "16 x 16" not in predict("--strict", of=damaged, code=3).err
    result = predict("--restart", "--json", "--quiet", of=damaged, code=6)
    block = {"row_off": 16, "col_off": 16, "height": 16, "width": 16}
    assert result.json["failures"] == [{"unreadable_block": block}]
    assert (read(tmp_path / "map.tif") == NODATA).sum() == 256


def test_a_dry_run_prints_what_plan_prints_and_writes_nothing(
    run: Callable, predict: Callable, scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("geohier.inference.preview.seconds_per_tile", lambda *given: 0.5)
    monkeypatch.setattr("geohier.inference.preview._free_bytes", lambda target: 2**40)
    before = set(tmp_path.rglob("*"))
    for more in ((), ("--json",), ("--confidence", "--bands", "3,2,1")):
        dry = predict("--dry-run", *more)
        plan = run("plan", scene, "-m", "echo", "-o", tmp_path / "map.tif", *TILES, *more)
        assert (dry.code, dry.out, dry.err) == (plan.code, plan.out, plan.err)
        assert "1 TiB free" in dry.out or more == ("--json",)
    assert set(tmp_path.rglob("*")) == before


def test_json_holds_what_happened(predict: Callable, tmp_path: Path) -> None:
    found = predict("--json", "--confidence").json
    assert found.pop("seconds") > 0
    assert found == {
        "scene": "scene",
        "status": "written",
        "outputs": {
            "labels": str(tmp_path / "map.tif"),
            "confidence": str(tmp_path / "map_confidence.tif"),
        },
        "height": 40,
        "width": 60,
        "tiles": 15,
        "redundancy": pytest.approx(15 * 256 / 2400),
        "failures": [],
        "notes": [],
    }
    assert predict("--json", "--confidence").json["status"] == "up to date"


def test_notes_are_said_on_stderr_unless_quiet(
    predict: Callable, write_scene: Write, tmp_path: Path
) -> None:
    nameless = write_scene(values(bands=2), "nameless.tif")
    words = ("--out", tmp_path / "out.tif", "--bands", "1,2,2", "--alpha", "none")
    zeros = write_scene(np.zeros((3, *SHAPE), "uint8"), "zeros.tif")
    result = predict(*words, of=zeros)
    assert result.err.startswith("zeros: about 100% of the pixels are 0 in all bands")
    assert len(result.out.splitlines()) == 1
    assert predict(*words, "--quiet", "--overwrite", of=nameless).err == ""


def test_progress_is_said_on_stderr_for_long_work(
    predict: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("geohier.cli.progress.SECONDS_PER_LINE", 0)
    lines = predict().err.splitlines()
    assert len(lines) == 10
    assert all(re.fullmatch(r"scene: \d+%, [\d.e+-]+ Mpx/s, \d+ s left", line) for line in lines)
    assert lines[-1].startswith("scene: 100%")
    assert predict("--quiet", "--overwrite", "--nodata", 3).err == ""


# many scenes


@pytest.fixture
def many(write_scene: Write, tmp_path: Path) -> Path:
    """A folder of two good scenes and a bad one, which comes first."""
    folder = tmp_path / "scenes"
    folder.mkdir()
    (folder / "a.tif").write_text("no raster")
    for name, seed in (("b", 1), ("c", 2)):
        write_scene(values(seed), f"scenes/{name}.tif", descriptions=COLOURS)
    return folder


@pytest.mark.parametrize("how", ["folder", "glob", "paths"])
def test_a_bad_scene_does_not_stop_the_others(
    how: str, predict: Callable, many: Path, tmp_path: Path
) -> None:
    named = {"folder": many, "glob": many / "*.tif", "paths": sorted(many.iterdir())}
    result = predict("--out", tmp_path / "maps", of=named[how], code=6)
    lines = result.out.splitlines()
    assert lines[0] == (
        f"a  failed: {many / 'a.tif'} is not a raster that geohier reads: "
        "give GeoTIFF, JPEG 2000, PNG, JPEG or a VRT of those"
    )
    assert [line.partition(" px")[0] for line in lines[1:]] == ["b  40 x 60", "c  40 x 60"]
    assert {path.name for path in (tmp_path / "maps").iterdir()} == {
        "b.tif", "b.tif.run.json", "c.tif", "c.tif.run.json",
    }  # fmt: skip
    np.testing.assert_array_equal(read(tmp_path / "maps" / "c.tif"), brightest(values(2)))


def test_in_json_a_bad_scene_has_its_code_and_is_named_on_stderr(
    predict: Callable, many: Path, tmp_path: Path
) -> None:
    result = predict("--out", tmp_path / "maps", "--json", of=many, code=6)
    assert [row["status"] for row in result.json] == ["failed", "written", "written"]
    assert result.json[0]["exit_code"] == 3
    assert result.err.startswith(f"geohier: a: {many / 'a.tif'} is not a raster")
    assert len(result.err.splitlines()) == 1


def test_where_no_scene_works_the_first_one_s_code_is_returned(
    predict: Callable, many: Path, write_scene: Write, tmp_path: Path
) -> None:
    two = write_scene(values(bands=2), "two.tif")
    predict("--out", tmp_path / "maps", of=[many / "a.tif", two], code=3)
    predict("--out", tmp_path / "maps", of=[two, many / "a.tif"], code=4)


def test_a_folder_of_maps_is_up_to_date_when_it_is_asked_for_again(
    predict: Callable, many: Path, tmp_path: Path, echo: Echo
) -> None:
    predict("--out", tmp_path / "maps", of=many, code=6)
    echo.seen.clear()
    result = predict("--out", tmp_path / "maps", of=many, code=6)
    assert result.out.count("up to date") == 2
    assert echo.seen == []


def test_an_option_that_fits_no_scene_is_told_once(predict: Callable, many: Path) -> None:
    for option, says in (
        (("--threshold", "tree=0.5"), "no class 'tree' in the model, which has land, water, roof"),
        (("--co", "COMPRESS=JPEG"), "creation option COMPRESS=JPEG is not known"),
        (("--overlap", 12), "overlap of 12 px does not fit tiles of 16 px"),
    ):
        result = predict(*option, "--out", many.parent / "maps", of=many, code=2)
        assert (result.out, len(result.err.splitlines())) == ("", 1)
        assert says in result.err
    assert not (many.parent / "maps").exists()


def test_a_map_never_takes_the_place_of_a_scene(predict: Callable, many: Path, scene: Path) -> None:
    content = scene.read_bytes()
    result = predict("--out", scene, "--overwrite", code=2)
    assert result.err == f"geohier: {scene} is read for this result: choose another path for it\n"
    os.link(scene, scene.with_name("link.tif"))
    predict("--out", scene.with_name("link.tif"), "--overwrite", code=2)
    predict("--out", many, "--overwrite", of=many, code=3)
    assert scene.read_bytes() == content
    np.testing.assert_array_equal(read(many / "b.tif", 2), values(1)[1])


def test_no_two_scenes_write_one_file(
    predict: Callable, scene: Path, write_scene: Write, tmp_path: Path
) -> None:
    sibling = write_scene(values(1), "scene_confidence.tif")
    words = ("--out", tmp_path / "maps")
    predict(*words, of=[scene, sibling])
    result = predict(*words, "--confidence", "--overwrite", of=[scene, sibling], code=2)
    assert "would be written 2 times" in result.err


# scenes that are more than one file


def test_a_scene_cut_in_four_gives_the_labels_of_the_uncut_one(
    predict: Callable, write_scene: Write, tmp_path: Path
) -> None:
    predict("--size", 32, "--overlap", 16, "--confidence")
    names = []
    for row, rows in enumerate((slice(0, 17), slice(17, 40))):
        for col, cols in enumerate((slice(0, 33), slice(33, 60))):
            at = Affine(10, 0, 500_000 + 10 * cols.start, 0, -10, 5_000_000 - 10 * rows.start)
            name = f"sheet{row}{col}.tif"
            names.append(
                write_scene(values()[:, rows, cols], name, transform=at, descriptions=COLOURS)
            )
    predict(
        "--mosaic", "--size", 32, "--overlap", 16, "--confidence",
        "--out", tmp_path / "cut.tif", of=names,
    )  # fmt: skip
    with rasterio.open(tmp_path / "map.tif") as whole, rasterio.open(tmp_path / "cut.tif") as cut:
        assert (cut.transform, cut.shape, cut.crs) == (whole.transform, whole.shape, whole.crs)
        np.testing.assert_array_equal(cut.read(), whole.read())
    np.testing.assert_array_equal(
        read(tmp_path / "cut_confidence.tif"), read(tmp_path / "map_confidence.tif")
    )


def test_a_mosaic_goes_into_a_folder_under_its_own_name(
    predict: Callable, scene: Path, tmp_path: Path
) -> None:
    predict("--mosaic", "--out", tmp_path / "maps", of=scene)
    assert (tmp_path / "maps" / "mosaic.tif").is_file()


def test_a_scene_file_brings_bands_of_several_rasters_together(
    predict: Callable, write_scene: Write, tmp_path: Path
) -> None:
    write_scene(values()[[1, 0]], "first.tif")
    write_scene(values()[2:], "second.tif")
    (tmp_path / "both.scene.yaml").write_text(
        "files:\n"
        "  - {path: first.tif, names: [green, red]}\n"
        "  - {path: second.tif, bands: [1], names: [blue]}\n"
    )
    predict("--out", tmp_path / "maps", of=tmp_path / "both.scene.yaml")
    np.testing.assert_array_equal(read(tmp_path / "maps" / "both.tif"), brightest(values()))


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        (("bands: [1, 2, 3]", "bands: [3, 2, 1]"), "reading.1.taken.1.number was 1, now 3"),
        (("bands: [1, 2, 3]", "bands: [1, 2, 3], nodata: 7"), "bands.blue.nodata"),
        (("[red, green, blue]", "[blue, green, red]"), "bands.blue.number"),
        (("nearest", "bilinear"), 'reading.2.resampling was "nearest", now "bilinear"'),
        (("bands: [2]", "bands: [1]"), "reading.2.taken.1.number was 2, now 1"),
    ],
)
def test_a_scene_file_that_is_read_otherwise_makes_another_map(
    changed: tuple[str, str], says: str, predict: Callable, write_scene: Write, tmp_path: Path
) -> None:
    coarse = Affine(20, 0, 500_000, 0, -20, 5_000_000)
    write_scene(values(), "first.tif")
    write_scene(values(1)[:2, :20, :30], "second.tif", transform=coarse)
    text = (
        "files:\n"
        "  - {path: first.tif, bands: [1, 2, 3], names: [red, green, blue]}\n"
        "  - {path: second.tif, bands: [2], names: [height], resampling: nearest}\n"
    )
    scene = tmp_path / "s.scene.yaml"
    scene.write_text(text)
    predict(of=scene)
    assert "up to date" in predict(of=scene).out
    assert changed[0] in text
    scene.write_text(text.replace(*changed))
    assert f"was made by another run ({says}" in predict(of=scene, code=2).err


def test_another_order_of_sheets_makes_another_map_where_they_overlap(
    predict: Callable, write_scene: Write, tmp_path: Path
) -> None:
    for name, seed in (("a.tif", 1), ("b.tif", 2)):
        write_scene(values(seed), name, descriptions=COLOURS)
    one, other = [tmp_path / "a.tif", tmp_path / "b.tif"], [tmp_path / "b.tif", tmp_path / "a.tif"]
    predict("--mosaic", of=one)
    assert "up to date" in predict("--mosaic", of=one).out
    said = f'reading.1.file was "{tmp_path / "a.tif"}", now "{tmp_path / "b.tif"}"'
    assert said in predict("--mosaic", of=other, code=2).err
    predict("--mosaic", "--overwrite", of=other)
    np.testing.assert_array_equal(read(tmp_path / "map.tif"), brightest(values(2)))


def put_mask(path: Path, hidden: tuple[slice, slice]) -> None:
    mask = np.full(SHAPE, 255, "uint8")
    mask[hidden] = 0
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False), rasterio.open(path, "r+") as file:
        file.write_mask(mask)


@pytest.mark.parametrize("of", ["raster", "vrt"])
def test_another_mask_beside_a_raster_makes_another_map(
    of: str, predict: Callable, scene: Path, tmp_path: Path
) -> None:
    put_mask(scene, np.s_[:5, :7])
    one = scene
    if of == "vrt":
        one = tmp_path / "view.vrt"
        rasterio.shutil.copy(scene, one, driver="VRT")
    predict(of=one)
    assert "up to date" in predict(of=one).out
    assert (read(tmp_path / "map.tif") == NODATA).sum() == 35
    before = scene.stat()
    put_mask(scene, np.s_[10:, :])
    os.utime(scene, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert f"inputs.{scene}.msk." in predict(of=one, code=2).err
    predict("--overwrite", of=one)
    assert (read(tmp_path / "map.tif")[10:] == NODATA).all()


NOTED = '<PAMDataset>{}<PAMRasterBand band="1">{}</PAMRasterBand></PAMDataset>'
STATISTICS = '<Metadata><MDI key="STATISTICS_MAXIMUM">9</MDI></Metadata>'


@pytest.mark.parametrize(
    ("xml", "says"),
    [
        (NOTED.format("", STATISTICS), None),
        (
            NOTED.format("", "<NoDataValue>7</NoDataValue>"),
            'bands.red.nodata was "None", now "7.0"',
        ),
        (
            NOTED.format('<Metadata><MDI key="NODATA_VALUES">7 8 9</MDI></Metadata>', ""),
            'reading.1.nodata_values was null, now "7 8 9"',
        ),
    ],
)
def test_what_is_noted_beside_a_raster_makes_another_map_only_where_it_counts(
    xml: str, says: str | None, predict: Callable, scene: Path
) -> None:
    """A viewer leaves statistics beside what it shows; they are no reason to start anew."""
    predict()
    scene.with_name("scene.tif.aux.xml").write_text(xml)
    if says is None:
        assert "up to date" in predict().out
    else:
        assert f"({says})" in predict(code=2).err


def test_a_shapefile_in_another_crs_is_another_area(
    predict: Callable, scene: Path, tmp_path: Path
) -> None:
    area = geopandas.GeoDataFrame(
        geometry=[box(500_000, 4_999_900, 500_100, 5_000_000)], crs="EPSG:32631"
    )
    area.to_file(tmp_path / "area.shp")
    predict("--aoi", tmp_path / "area.shp")
    assert "up to date" in predict("--aoi", tmp_path / "area.shp").out
    note = tmp_path / "area.prj"
    note.write_text(
        note.read_text().replace('"False_Easting",500000.0', '"False_Easting",499950.0')
    )
    result = predict("--aoi", tmp_path / "area.shp", code=2)
    assert f"area_of_interest.{note}.head_sha256 was" in result.err


def test_a_local_vrt_is_a_scene(predict: Callable, scene: Path, tmp_path: Path) -> None:
    rasterio.shutil.copy(scene, tmp_path / "view.vrt", driver="VRT")
    predict(of=tmp_path / "view.vrt")
    np.testing.assert_array_equal(read(tmp_path / "map.tif"), brightest(values()))


PRODUCT = "S2A_MSIL2A_20230601T105621_N0509_R094_T31TCJ_20230601T170000"
METADATA = """<Level-2A><BOA_QUANTIFICATION_VALUE>10000</BOA_QUANTIFICATION_VALUE>
<BOA_ADD_OFFSET band_id="1">-1000</BOA_ADD_OFFSET><BOA_ADD_OFFSET band_id="2">-1000</BOA_ADD_OFFSET>
<BOA_ADD_OFFSET band_id="3">-1000</BOA_ADD_OFFSET></Level-2A>"""


def test_a_sentinel_2_product_is_a_scene(
    predict: Callable, echo: Echo, write_scene: Write, tmp_path: Path
) -> None:
    images = tmp_path / f"{PRODUCT}.SAFE" / "GRANULE" / "L2A_T31TCJ" / "IMG_DATA" / "R10m"
    images.mkdir(parents=True)
    (tmp_path / f"{PRODUCT}.SAFE" / "MTD_MSIL2A.xml").write_text(METADATA)
    numbers = values().astype("uint16") * 20
    numbers[:, :3] = 0
    for name, band in zip(("B02", "B03", "B04"), numbers[::-1], strict=True):
        path = f"{images.relative_to(tmp_path)}/T31TCJ_20230601T105621_{name}_10m.tif"
        write_scene(band[None], path)
    bands = (
        Band(name=name, dtype="uint16", mean=0.1, std=0.1, scale=1e-4, offset=-0.1)
        for name in COLOURS
    )
    echo.card = replace(echo.card, bands=BandSet(tuple(bands)), scaled=True)
    predict("--out", tmp_path / "maps", of=tmp_path / f"{PRODUCT}.SAFE")
    labels = read(tmp_path / "maps" / f"{PRODUCT}.tif")
    assert (labels[:3] == NODATA).all()
    np.testing.assert_array_equal(labels[3:], brightest(values())[3:])


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve the files of a folder over HTTP, whole or in ranges."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer(with_body=True)

        def do_HEAD(self) -> None:
            self.answer(with_body=False)

        def answer(self, *, with_body: bool) -> None:
            path = folder / self.path.lstrip("/")
            if not path.is_file():
                self.send_error(404)
                return
            content = path.read_bytes()
            span = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
            first, last = (
                (int(span[1]), int(span[2] or len(content))) if span else (0, len(content))
            )
            body = content[first : last + 1]
            self.send_response(206 if span else 200)
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("Content-Length", str(len(body)))
            end = first + len(body) - 1
            self.send_header("Content-Range", f"bytes {first}-{end}/{len(content)}")
            self.end_headers()
            if with_body:
                self.wfile.write(body)

        def log_message(self, *given: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_a_scene_on_the_network_is_read_only_if_allowed(
    predict: Callable, scene: Path, tmp_path: Path
) -> None:
    with served(tmp_path) as address:
        url = f"{address}/scene.tif"
        assert predict(of=url, code=3).err == (
            f"geohier: {url} is not a file on this machine: download it first\n"
        )
        predict("--allow-remote", of=url)
        result = predict("--allow-remote", of=f"{address}/other.tif", code=3)
    assert len(result.err.splitlines()) == 1
    np.testing.assert_array_equal(read(tmp_path / "map.tif"), brightest(values()))


# mistakes in what is typed


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("predict", "missing argument 'SCENE'; see geohier predict --help"),
        ("predict a.tif", "missing option '--model' / '-m'"),
        ("predict a.tif -m m", "missing option '--out' / '-o'"),
        ("predict a.tif --treshold a=1", "(Possible options: --threshold)"),
        ("predict scene.tif -m m -o o --blend soft", "not one of 'taper', 'crop'"),
        ("predict scene.tif -m m -o o --size big", "invalid value for '--size'"),
        ("predict scene.tif -m m -o o --max-pixels 0", "invalid value for '--max-pixels'"),
        ("predict scene.tif -m m -o o --co TILED", "not of the form KEY=VALUE"),
        ("predict scene.tif -m m -o o --threshold roof", "not of the form KEY=VALUE"),
        ("predict scene.tif -m m -o o --threshold roof=x", "'x' is not a number"),
        ("predict scene.tif -m m -o o --threshold roof=2", "is not from 0 to 1"),
        ("predict scene.tif -m m -o o --batch-size 0", "a batch needs 1 tile or more"),
        ("predict scene.tif -m m -o o --batch-size few", "nor auto"),
        ("predict scene.tif -m m -o o --memory-gb nan", "memory must be some GiB, found nan"),
        ("predict scene.tif -m m -o o --memory-gb inf", "memory must be some GiB, found inf"),
        ("predict scene.tif -m m -o o --memory-gb 1e-9", "or a larger --memory-gb"),
        ("predict scene.tif -m m -o o --bands 1,,2", "a band without a name"),
        ("predict scene.tif -m m -o o --nodata 300", "holds uint8, which cannot be nodata 300"),
        ("predict scene.tif -m m -o o --device tpu", "device 'tpu' is not known"),
        ("predict scene.tif -m m -o o --size 0", "tiles of 0 px are empty"),
        ("predict scene.tif -m m -o o --overlap -4", "overlap of -4 px"),
        ("predict scene.tif m -m m -o scene.tif", "names a file, but there are 2 scenes"),
        ("predict scene.tif m -m m -o new.tif", "names a file, but there are 2 scenes"),
        ("predict scene.tif -m m -o map.png", "results are GeoTIFFs: call it map.tif"),
        ("predict scene.tif http://a/b.tif --mosaic -m m -o o", "made of files on this machine"),
        ("plan scene.tif -m m --size 0", "tiles of 0 px are empty"),
        ("mapp", "no such command 'mapp'; see geohier --help"),
    ],
)
def test_mistakes_are_named_in_one_line(
    typed: str,
    says: str,
    run: Callable,
    echo: Echo,
    scene: Path,
    write_scene: Write,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "m").mkdir()
    write_scene(values(), "m/other.tif")
    monkeypatch.chdir(tmp_path)
    result = run(*typed.split())
    assert (result.code, result.out) == (2, "")
    assert says in result.err
    assert result.err.startswith("geohier: ")
    assert len(result.err.splitlines()) == 1
    assert {path.name for path in tmp_path.iterdir()} == {"scene.tif", "m"}


@pytest.mark.parametrize("spoil", ["missing", "file", "empty"])
def test_a_model_that_cannot_be_used_exits_with_4(
    spoil: str, run: Callable, scene: Path, tmp_path: Path
) -> None:
    model = tmp_path / "model"
    if spoil == "file":
        model.touch()
    if spoil == "empty":
        model.mkdir()
    for command in ("predict", "plan"):
        result = run(command, scene, "--model", model, "--out", tmp_path / "map.tif")
        assert (result.code, result.out, len(result.err.splitlines())) == (4, "", 1)
    assert not (tmp_path / "map.tif").exists()


def test_a_scene_that_cannot_be_opened_is_told_before_torch_is_loaded(tmp_path: Path) -> None:
    program = (
        "import sys; from geohier.cli.main import app\n"
        "try: app(sys.argv[1:])\n"
        "except SystemExit as end: sys.exit(end.code + 50 * ('torch' in sys.modules))"
    )
    words = ("predict", tmp_path / "none.tif", "-m", tmp_path / "none", "-o", tmp_path / "map.tif")
    ended = subprocess.run(
        [sys.executable, "-c", program, *words], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stderr) == (
        3,
        f"geohier: {tmp_path / 'none.tif'}: no such file\n",
    )


def test_running_out_of_memory_exits_with_5(
    predict: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_much(*given: object) -> None:
        raise MemoryError("Unable to allocate 931. GiB")

    monkeypatch.setattr("geohier.inference.pipeline.segment", too_much)
    assert predict(code=5).err == "geohier: out of memory (Unable to allocate 931. GiB)\n"


def test_a_real_model_maps_a_scene(run: Callable, model: Path, scene: Path, tmp_path: Path) -> None:
    result = run("predict", scene, "--model", model, "--out", tmp_path / "map.tif", "--confidence")
    assert (result.code, result.err) == (0, "")
    assert set(np.unique(read(tmp_path / "map.tif"))) <= {0, 1, 2}
    confidence = read(tmp_path / "map_confidence.tif")
    assert 250 / 3 - 1 <= confidence.min() <= confidence.max() <= 250
