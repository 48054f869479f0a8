"""geohier predict: what it says while it works and afterwards."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from colour_scenes import NODATA, SHAPE, brightest, read, values

Write = Callable[..., Path]


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
    assert result.err.startswith("note: zeros: about 100% of the pixels are 0 in all bands")
    assert len(result.out.splitlines()) == 1
    assert predict(*words, "--quiet", "--overwrite", of=nameless).err == ""


def test_a_scene_without_a_valid_pixel_is_mapped_and_said_to_be_so(
    predict: Callable, write_scene: Write, tmp_path: Path
) -> None:
    empty = write_scene(np.full((3, *SHAPE), 9, "uint8"), "empty.tif", nodata=9)
    for words in ((), ("--json",), ("--restart", "--json")):
        result = predict(*words, of=empty)
        if words:
            assert result.json["notes"][-1] == "no pixel got a class: the map is nodata all over"
        else:
            assert result.out.endswith("; no pixel got a class\n")
    assert (read(tmp_path / "map.tif") == NODATA).all()


def test_what_was_noted_is_kept_in_the_record(
    predict: Callable, write_scene: Write, tmp_path: Path
) -> None:
    zeros = write_scene(np.zeros((3, *SHAPE), "uint8"), "zeros.tif")
    noted = predict("--json", "--quiet", of=zeros).json["notes"]
    record = json.loads((tmp_path / "map.tif.run.json").read_text())
    assert record["notes"] == [{"note": note} for note in noted]
    assert "pass --nodata 0" in noted[0]


def test_progress_is_said_on_stderr_for_long_work(
    predict: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("geohier.cli.progress.SECONDS_PER_LINE", 0)
    lines = predict().err.splitlines()
    assert len(lines) == 10
    assert all(re.fullmatch(r"scene: \d+%, [\d.e+-]+ Mpx/s, \d+ s left", line) for line in lines)
    assert lines[-1].startswith("scene: 100%")
    assert predict("--quiet", "--overwrite", "--nodata", 3).err == ""


def test_a_real_model_maps_a_scene(run: Callable, model: Path, scene: Path, tmp_path: Path) -> None:
    result = run("predict", scene, "--model", model, "--out", tmp_path / "map.tif", "--confidence")
    assert (result.code, result.err) == (0, "")
    assert set(np.unique(read(tmp_path / "map.tif"))) <= {0, 1, 2}
    confidence = read(tmp_path / "map_confidence.tif")
    assert 250 / 3 - 1 <= confidence.min() <= confidence.max() <= 250


def test_verbose_says_what_a_prediction_decides(
    run: Callable, write_scene: Callable, model: Path, tmp_path: Path
) -> None:
    scene = write_scene(np.full((3, 40, 40), 90, "uint8"), descriptions=("red", "green", "blue"))
    command = ("predict", scene, "-m", model, "--quiet", "-o")
    assert run(*command, tmp_path / "a.tif").err == ""
    said = run(*command, tmp_path / "b.tif", "--verbose").err
    assert "bands red from red, green from green, blue from blue; 1 tiles of 512 px" in said
    assert "0 of 1 parts are there" in said
    assert run(*command, tmp_path / "c.tif").err == ""
