"""What the output may be when a run begins, and what may happen to it: law 6, as it is typed."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from long_work import Work, digests, parts_of
from processes import Ended

DONE = {"map.tif", "map_confidence.tif", "map.tif.run.json"}


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out" / "map.tif"


def names(out: Path) -> set[str]:
    return {path.name for path in out.parent.iterdir()}


def contents(folder: Path) -> dict[Path, tuple[bytes, int]]:
    return {
        path: (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


def fails(ended: Ended, code: int, *says: str) -> None:
    """Check that a run ended in one line that says why."""
    assert (ended.code, ended.out, len(ended.err.splitlines())) == (code, "", 1), ended.err
    assert ended.err.startswith("geohier: ")
    for text in says:
        assert text in ended.err


def interrupt(work: Work, out: Path, *more: object) -> None:
    """Leave a run unfinished, with some parts made."""
    assert work.stopped(out, *more).code == 130


# what is there when a run begins


def test_a_finished_result_is_up_to_date(work: Work, whole: list[str], out: Path) -> None:
    assert work.done(out).code == 0
    before = contents(out.parent)
    again = work.done(out)
    assert (again.code, again.out) == (0, f"{out}: 250 x 60 px, up to date\n")
    assert contents(out.parent) == before
    assert digests(out) == whole


def test_a_finished_result_of_another_run_stays_unless_overwritten(work: Work, out: Path) -> None:
    assert work.done(out).code == 0
    before, first = contents(out.parent), digests(out)
    fails(
        work.done(out, "--size", 96),
        2,
        f"{out} is there already and was made by another run (tiles.size was 64, now 96)",
        "choose --overwrite or another path",
    )
    assert contents(out.parent) == before
    other = ("--size", 96, "--overwrite")
    stopped = work.stopped(out, *other, restore=lambda: work.done(out, "--overwrite"))
    assert stopped.code == 130
    assert digests(out) == first, "the old result has to stay until the new one is verified"
    assert work.done(out, *other).code == 0
    assert digests(out) != first
    assert names(out) == DONE


@pytest.mark.parametrize("name", ["map.tif", "map_confidence.tif"])
def test_a_file_that_geohier_did_not_make_stays_unless_overwritten(
    name: str, work: Work, whole: list[str], out: Path
) -> None:
    out.parent.mkdir()
    (out.parent / name).write_text("mine")
    fails(work.done(out), 2, f"{name} is there already", "no finished run of geohier stands behind")
    assert (out.parent / name).read_text() == "mine"
    assert work.done(out, "--overwrite").code == 0
    assert digests(out) == whole


@pytest.mark.parametrize("damage", ["truncated", "changed", "without a record", "a layer is gone"])
def test_a_result_that_was_touched_is_not_taken_for_finished(
    damage: str, work: Work, whole: list[str], out: Path
) -> None:
    assert work.done(out).code == 0
    if damage == "truncated":
        out.write_bytes(out.read_bytes()[:-1])
    if damage == "changed":
        flip(out, at=-100)
    if damage == "without a record":
        out.with_name("map.tif.run.json").unlink()
    if damage == "a layer is gone":
        out.with_name("map_confidence.tif").unlink()
        assert work.done(out).code == 0, "the labels are this run's own, and nothing is lost"
    else:
        fails(work.done(out), 2, "is there already")
        assert work.done(out, "--overwrite").code == 0
    assert digests(out) == whole


def test_parts_of_the_same_run_are_gone_on_with(work: Work, whole: list[str], out: Path) -> None:
    interrupt(work, out)
    assert parts_of(out) > 0
    assert work.done(out).code == 0
    assert digests(out) == whole
    assert names(out) == DONE


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("--size", 96), "tiles.size was 64, now 96"),
        (("--precision", "bf16"), 'precision was "fp32", now "bf16"'),
        (("--nodata", 3), 'bands.blue.nodata was "None", now "3.0"'),
        (("--entropy",), "layers.entropy was null, now {"),
        (("--threshold", "roof=0.3"), "options.thresholds.roof was null, now 0.3"),
        (("--co", "LEVEL=9"), 'creation_options.LEVEL was null, now "9"'),
    ],
)
def test_parts_of_another_run_stay_and_the_difference_is_named(
    change: tuple[object, ...], says: str, work: Work, out: Path
) -> None:
    exact = () if "--precision" in change else ("--precision", "fp32")
    interrupt(work, out, "--precision", "fp32")
    before = contents(out.parent)
    fails(work.done(out, *exact, *change), 2, f"({says}", "choose --restart")
    assert contents(out.parent) == before
    assert work.done(out, *exact, *change, "--restart").code == 0
    assert names(out) >= DONE
    assert not out.with_name("map.tif.parts").exists()


def test_a_folder_of_parts_that_nobody_knows_stays(work: Work, whole: list[str], out: Path) -> None:
    folder = out.with_name("map.tif.parts")
    folder.mkdir(parents=True)
    (folder / "diary.txt").write_text("mine")
    fails(work.done(out), 2, "holds files of an unknown run: choose --restart to remove them")
    assert (folder / "diary.txt").exists()
    assert work.done(out, "--restart").code == 0
    assert digests(out) == whole


# what may happen on the way


def test_a_part_that_was_damaged_is_made_again(work: Work, whole: list[str], out: Path) -> None:
    interrupt(work, out)
    parts = sorted(out.parent.rglob("part-*-labels.tif"))
    flip(parts[0], at=-20)
    assert work.done(out).code == 0
    assert digests(out) == whole


def test_a_journal_that_was_cut_short_loses_one_part(
    work: Work, whole: list[str], out: Path
) -> None:
    interrupt(work, out)
    journal = out.with_name("map.tif.parts") / "parts.jsonl"
    journal.write_bytes(journal.read_bytes()[:-10])
    assert work.done(out).code == 0
    assert digests(out) == whole


@pytest.mark.parametrize("name", ["model.safetensors", "card.json", "config.yaml", "SHA256SUMS"])
def test_a_flipped_byte_in_a_model_is_found(
    name: str, work: Work, model: Path, out: Path, tmp_path: Path
) -> None:
    for path in model.iterdir():
        (tmp_path / "copy").mkdir(exist_ok=True)
        (tmp_path / "copy" / path.name).write_bytes(path.read_bytes())
    flip(tmp_path / "copy" / name, at=20)
    fails(work.done(out, "--model", tmp_path / "copy"), 4, "copy the model again")
    assert not out.parent.exists()


def flip(path: Path, *, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("scene", ["raster", "vrt"])
def test_an_input_that_changes_meanwhile_is_noticed(
    scene: str, work: Work, out: Path, tmp_path: Path
) -> None:
    if scene == "vrt":
        rasterio.shutil.copy(work.scene, tmp_path / "view.vrt", driver="VRT")
        work = Work(scene=tmp_path / "view.vrt", model=work.model, logs=work.logs)
    image = tmp_path / "scene.tif"
    with work.to(out) as command:
        command.wait_until(out.with_name("map.tif.parts").exists)
        os.utime(image, ns=(0, 0))
        ended = command.wait()
    fails(ended, 3, f"{image} was changed while it was read: run again with --restart")
    assert not out.exists()
    fails(work.done(out), 2, f"inputs.{image}.mtime_ns was", "now 0")
    assert work.done(out, "--restart").code == 0


@pytest.mark.parametrize("reached", ["run.json", "part-", "final-", "final-probabilities.tif"])
def test_a_full_disk_leaves_no_result_and_the_earlier_one(
    reached: str, work: Work, out: Path
) -> None:
    whole = out.with_name("whole.tif")
    interrupt(work, whole, "--probabilities")
    parts = {path.name: path.stat().st_size for path in out.parent.rglob("*.parts/*")}
    assert work.done(whole, "--probabilities").code == 0
    limit = {
        "run.json": parts["run.json"] - 1,
        "part-": parts["run.json"],
        "final-": max(parts.values()) + 5_000,
        "final-probabilities.tif": whole.with_name("whole_probabilities.tif").stat().st_size - 1,
    }[reached]
    out.write_text("mine")

    ended = work.done(out, "--overwrite", "--probabilities", "--quiet", largest_file=limit)

    assert (ended.code, ended.out) == (5, "")
    last = ended.err.splitlines()[-1]  # libtiff may have complained on its own
    assert last.startswith(f"geohier: {out}.parts/{reached}")
    assert " cannot be written (" in last
    assert "See previous exception" not in last
    assert out.read_text() == "mine"
    assert not out.with_name("map_probabilities.tif").exists()

    assert work.done(out, "--overwrite", "--probabilities").code == 0, "parts are good or made anew"
    assert digests(out) == digests(whole)
    assert not out.with_name("map.tif.parts").exists()


def test_a_folder_that_cannot_be_made_or_written_is_told_at_once(
    work: Work, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("mine")
    fails(work.done(tmp_path / "file" / "map.tif"), 5, "cannot be written (")
    assert (tmp_path / "file").read_text() == "mine"
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o555)
    if os.access(closed, os.W_OK):  # root may write anywhere, but not here
        closed = Path("/sys")
    if not closed.is_dir():
        pytest.skip("no folder that cannot be written")
    fails(work.done(closed / "map.tif"), 5, "cannot be written (Permission denied)")
    assert not list(closed.glob("map.tif*"))


def test_the_record_says_what_was_made_and_nothing_of_when_or_by_whom(
    work: Work, out: Path
) -> None:
    assert work.done(out).code == 0
    record = json.loads(out.with_name("map.tif.run.json").read_text())
    assert {layer: file["name"] for layer, file in record["outputs"].items()} == {
        "labels": "map.tif",
        "confidence": "map_confidence.tif",
    }
    assert [record["outputs"][layer]["sha256"] for layer in record["outputs"]] == digests(out)
    with rasterio.open(out) as file:
        told = json.dumps(file.tags()) + json.dumps(file.tags(ns="TIFFTAG"))
        values = file.read(1)
    assert str(work.scene) not in told
    assert set(np.unique(values)) <= {0, 1, 2}
