"""geohier predict: many scenes at once."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from colour_scenes import brightest, read, values
from small_models import COLOURS, Echo

Write = Callable[..., Path]


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
    assert result.err.startswith(f"geohier: {many / 'a.tif'} is not a raster")
    assert len(result.err.splitlines()) == 1


@pytest.mark.parametrize("command", ["predict", "plan"])
def test_each_scene_is_named_once_in_a_line(
    command: str, run: Callable, echo: Echo, many: Path, tmp_path: Path
) -> None:
    echo.expects(high=3)
    told = run(command, many, "--model", "echo", "--out", tmp_path / "maps", "--device", "cpu")
    line = next(line for line in told.out.splitlines() if "--force-scale" in line)
    assert "failed: uint8 values of band red" in line.replace("failed      ", "failed: ")
    said = run("predict", many, "-m", "echo", "-o", tmp_path / "maps", "--device", "cpu", "--json")
    assert [line.count("b: ") for line in said.err.splitlines()] == [0, 1, 0]
    assert said.err.splitlines()[1].startswith("geohier: b: uint8 values")


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
    run: Callable, predict: Callable, scene: Path, write_scene: Write, tmp_path: Path
) -> None:
    sibling = write_scene(values(1), "scene_confidence.tif")
    words = ("--out", tmp_path / "maps")
    predict(*words, of=[scene, sibling])
    result = predict(*words, "--confidence", "--overwrite", of=[scene, sibling], code=2)
    assert "would be written 2 times" in result.err
    planned = run("plan", scene, sibling, "-m", "echo", "--confidence", *words)
    assert (planned.code, planned.err) == (2, result.err)
