"""geohier predict: what each of its options does."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
import torch
import typer
from colour_scenes import NODATA, SHAPE, TILES, brightest, read, values
from rasterio.enums import ColorInterp
from shapely.geometry import box
from small_models import COLOURS, Echo

from geohier.cli.main import app

Write = Callable[..., Path]


def test_every_option_is_tried_here() -> None:
    commands = typer.main.get_command(app)
    options = {
        name
        for option in commands.get_command(None, "predict").params
        for name in option.opts
        if name.startswith("--")
    }
    here = [path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_*.py")]
    tried = set(re.findall(r"--[a-z-]+", " ".join(here)))
    assert options - tried == {"--help"} - tried


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


def test_a_device_that_is_not_there_stops_before_any_scene(
    predict: Callable, tmp_path: Path, scene: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
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
    told = [line for line in result.err.splitlines() if "--alpha band to use it" in line]
    assert [line[:11] for line in told] == ["note: odd: "] * (alpha == "auto")


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
    assert "pass --allow-ungeoreferenced to predict" in predict(of=drawn, code=3).err
    predict("--allow-ungeoreferenced", of=drawn)
    np.testing.assert_array_equal(read(tmp_path / "map.tif"), brightest(values()))


def test_creation_options_reach_the_file(predict: Callable, tmp_path: Path) -> None:
    predict("--co", "BLOCKSIZE=128", "--co", "compress=lzw")
    with rasterio.open(tmp_path / "map.tif") as file:
        assert file.block_shapes == [(128, 128)]
        assert file.compression.name == "lzw"


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
        tiles = (word for pair in TILES.items() for word in pair)
        plan = run("plan", scene, "-m", "echo", "-o", tmp_path / "map.tif", *tiles, *more)
        assert (dry.code, dry.out, dry.err) == (plan.code, plan.out, plan.err)
        assert "1 TiB free" in dry.out or more == ("--json",)
    assert set(tmp_path.rglob("*")) == before
