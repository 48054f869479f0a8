"""geohier demo, as it is typed: from nothing to a map, its scores and a picture."""

import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import rasterio
from click.testing import Result
from matplotlib.image import imread
from typer.testing import CliRunner

from geohier.cli.main import app
from geohier.config.load import load_config
from geohier.data.bundled import MANIFEST, bundled_demo
from geohier.inference.pipeline import predict_raster
from geohier.models.manifest import read_card
from geohier.studies.demo import IMAGE, MAP, MODEL, NAME, PICTURE, bring_along

MIB = 2**20
MANIFESTED = json.loads((bundled_demo() / MANIFEST).read_text(encoding="utf-8"))


def run(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An empty folder, in which the commands are typed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("somewhere else"))
        yield Path.cwd()


@pytest.fixture(scope="module")
def first(place: Path) -> Result:
    """The demo, run once."""
    return run("demo")


@pytest.fixture(scope="module")
def again(first: Result, place: Path) -> "Again":
    """The demo, run once more in the same folder."""
    before = bytes_and_times(place / "geohier-demo")
    done = run("demo", "--json", "--quiet")
    assert (done.exit_code, done.stderr) == (0, "")
    return Again(before, json.loads(done.stdout), bytes_and_times(place / "geohier-demo"))


type Contents = dict[str, tuple[bytes, int]]


class Again(NamedTuple):
    before: Contents
    found: dict[str, Any]
    after: Contents


def bytes_and_times(folder: Path) -> Contents:
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock")
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def test_the_demo_writes_a_map_on_the_scenes_own_grid(first: Result, place: Path) -> None:
    assert first.exit_code == 0, first.output
    folder = place / "geohier-demo"
    with rasterio.open(folder / IMAGE) as scene, rasterio.open(folder / MAP) as found:
        assert (found.shape, found.transform) == (scene.shape, scene.transform)
        assert found.crs == scene.crs
        assert set(np.unique(found.read(1))) <= {0, 1}
    assert (folder / "map_confidence.tif").is_file()


def test_the_picture_is_wide_enough_to_see_four_panels(first: Result, place: Path) -> None:
    height, width = imread(place / "geohier-demo" / PICTURE).shape[:2]
    assert width > 2000
    assert height > 500


def test_the_scores_are_those_of_the_manifest(first: Result, again: Again) -> None:
    """But for what another precision changes."""
    for name, scores in MANIFESTED["scores"]["classes"].items():
        found = again.found["scores"]["pooled"]["classes"][name]
        for score, value in scores.items():
            assert found[score] == pytest.approx(value, abs=0.01), (name, score)
            assert f"{found[score]:.3f}" in first.stdout


def test_a_second_run_changes_nothing_and_says_so(again: Again, place: Path) -> None:
    assert again.found["status"] == "up to date"
    redrawn = str(place / "geohier-demo" / PICTURE)
    assert again.before[redrawn][0] == again.after[redrawn][0]
    kept = again.before.keys() - {redrawn}
    assert {name: again.after[name] for name in kept} == {name: again.before[name] for name in kept}
    assert again.after.keys() == again.before.keys()


def test_every_command_that_it_names_works(first: Result) -> None:
    lines = [line.strip() for line in first.stdout.splitlines()]
    named = [shlex.split(line)[1:] for line in lines if line.startswith("geohier ")]
    assert {words[0] for words in named} >= {"inspect", "plan", "predict", "evaluate"}
    for words in named:
        done = run(*words)
        assert done.exit_code == 0, f"{' '.join(words)}: {done.output}"


def test_every_file_that_it_names_is_there(first: Result, again: Again, place: Path) -> None:
    assert set(again.found["outputs"]) == {"labels", "confidence", "picture"}
    for path in again.found["outputs"].values():
        assert (place / path).is_file()
        assert path in first.stdout


def test_a_damaged_file_and_copying_that_was_interrupted_are_put_right(tmp_path: Path) -> None:
    bundle = bundled_demo()
    (tmp_path / MANIFEST).write_bytes((bundle / MANIFEST).read_bytes())
    (tmp_path / MODEL).mkdir()
    (tmp_path / MODEL / "card.json").write_text("{")
    bring_along(bundle, tmp_path)
    brought = {path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()}
    for name in brought:
        assert (tmp_path / name).read_bytes() == (bundle / name).read_bytes()
    assert brought == {path.relative_to(bundle) for path in bundle.rglob("*") if path.is_file()}


def test_parts_that_another_version_left_are_thrown_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*given: object) -> None:
        raise KeyboardInterrupt

    bring_along(bundled_demo(), tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("geohier.raster.store.PartStore.finish", stop)
        with pytest.raises(KeyboardInterrupt):
            predict_raster(tmp_path / IMAGE, tmp_path / MAP, tmp_path / MODEL)
    assert (tmp_path / "map.tif.parts").is_dir()

    done = run("demo", "--out", tmp_path)
    assert done.exit_code == 0, done.output
    assert str(tmp_path / MAP) in done.stdout
    assert not (tmp_path / "map.tif.parts").exists()


@pytest.mark.parametrize("manifest", [None, "{}", '{"name": "photos"}', "[1]", "no JSON"])
def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path, manifest: str | None) -> None:
    (tmp_path / "map.tif").write_text("precious")
    if manifest is not None:
        (tmp_path / MANIFEST).write_text(manifest)
    before = bytes_and_times(tmp_path)
    done = run("demo", "--out", tmp_path)
    assert (done.exit_code, done.stdout) == (2, "")
    assert "holds something else than a demo" in done.stderr.splitlines()[-1]
    assert bytes_and_times(tmp_path) == before


def test_a_file_in_the_place_of_the_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    assert run("demo", "--out", tmp_path / "file").exit_code == 2
    assert (tmp_path / "file").read_text() == "precious"


def test_the_bundled_files_are_small_and_the_scene_was_not_learned_from() -> None:
    bundle = bundled_demo()
    assert MANIFESTED["name"] == NAME
    assert (bundle / IMAGE).stat().st_size <= 4 * MIB
    assert sum(path.stat().st_size for path in (bundle / MODEL).iterdir()) <= 3 * MIB
    learned = read_card(bundle / MODEL).trained_on["data_sha256"]
    assert isinstance(learned, dict)
    scene = MANIFESTED["files"][IMAGE]["sha256"]
    assert [name for name, files in learned.items() if files["image"] == scene] == ["val/banepa_b"]


def test_the_bundled_model_was_made_from_the_config_that_the_manifest_names(
    tmp_path: Path,
) -> None:
    made_from = load_config(bundled_demo() / MODEL / "config.yaml", [f"data_root={tmp_path}"])
    named = load_config(Path(__file__).parents[2] / "configs/demo.yaml", [f"data_root={tmp_path}"])
    left_out = {"data": {"root"}}
    assert made_from.model_dump(exclude=left_out) == named.model_dump(exclude=left_out)
