"""A run in parts: what it keeps, how it goes on, and what the state of the output allows."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from shutil import copytree
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st

from geohier.errors import ConfigError, OutputExistsError, ResourceError
from geohier.geo.window import Window
from geohier.raster import parts as parts_module
from geohier.raster.layers import labels_layer
from geohier.raster.parts import PartStore, UpToDate, open_run, required_bytes

SmallDisk = Callable[[int], AbstractContextManager[None]]


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


FINISHED = {"map.tif", "map_confidence.tif", "map.tif.run.json"}


@given(st.integers(1, 90), st.integers(1, 90), st.integers(5, 40), st.data())
def test_a_run_that_is_stopped_and_goes_on_gives_the_bytes_of_an_unbroken_one(
    make_job: Callable, digest: Callable, height: int, width: int, rows: int, data: st.DataObject
) -> None:
    job = make_job(height=height, width=width, rows=rows)
    done = data.draw(st.integers(0, len(job.windows)))
    with TemporaryDirectory() as name:
        whole, broken = Path(name, "whole.tif"), Path(name, "broken.tif")
        job.run(whole)
        with job.open(broken) as store:
            job.write(store, range(done))
        with job.open(broken) as store:
            assert store.finished == set(range(done))
            job.write(store)
            store.finish({"model": "a"})

        assert digest(broken) == digest(whole)
        with rasterio.open(broken) as file:
            np.testing.assert_array_equal(file.read(), job.values(job.layers[0]))


def test_parts_may_come_in_any_order_and_shape(make_job: Callable, tmp_path: Path) -> None:
    job = make_job(layers=(labels_layer(["a", "b"]),))
    values = job.values(job.layers[0])
    corners = [(30, 0, 30, 20), (0, 20, 60, 30), (0, 0, 30, 20)]

    with job.open(tmp_path / "map.tif") as store:
        for index, (row, col, height, width) in enumerate(corners):
            window = Window(row_off=row, col_off=col, height=height, width=width)
            rows, cols = window.slices
            store.write(index, window, {"labels": values[:, rows, cols]})
        store.finish({})

    with rasterio.open(tmp_path / "map.tif") as file:
        np.testing.assert_array_equal(file.read(), values)


@pytest.mark.parametrize(
    "last", [(40, 0, 19, 50), (40, 0, 20, 49), (39, 0, 21, 50), (40, 0, 21, 50)]
)
def test_parts_that_leave_a_gap_or_overlap_are_a_mistake(
    make_job: Callable, tmp_path: Path, last: tuple[int, int, int, int]
) -> None:
    job = make_job(layers=(labels_layer(["a", "b"]),))
    row, col, height, width = last
    window = Window(row_off=row, col_off=col, height=height, width=width)

    with job.open(tmp_path / "map.tif") as store:
        job.write(store, [0, 1])
        store.write(2, window, {"labels": np.zeros((1, height, width), dtype=np.uint8)})
        with pytest.raises(ValueError, match="do not cover 60 x 50 px"):
            store.finish({})


def test_an_array_of_the_wrong_shape_or_type_is_a_mistake(
    make_job: Callable, tmp_path: Path
) -> None:
    with make_job().open(tmp_path / "map.tif") as store:
        with pytest.raises(ValueError, match="labels of part 0 is uint8"):
            store.write(0, make_job().windows[0], {"labels": np.zeros((1, 20, 49), np.uint8)})
        with pytest.raises(ValueError, match="labels of part 0 is int64"):
            store.write(0, make_job().windows[0], {"labels": np.zeros((1, 20, 50), np.int64)})


def test_only_the_result_and_its_record_are_left(make_job: Callable, tmp_path: Path) -> None:
    make_job().run(tmp_path / "map.tif")

    assert names(tmp_path) == FINISHED


def test_the_record_says_what_made_the_result_and_what_is_missing(
    make_job: Callable, digest: Callable, tmp_path: Path
) -> None:
    job = make_job()
    failure, note = {"window": [0, 0, 8, 8], "reason": "unreadable"}, {"batch": 2}
    with job.open(tmp_path / "map.tif", settings={"batch": 4}) as store:
        job.write(store, [1, 2])
        first = job.windows[0]
        arrays = {layer.name: job.values(layer)[:, first.slices[0]] for layer in job.layers}
        store.write(0, first, arrays, failures=[failure], notes=[note, note])
        finished = store.finish({}, notes=[{"note": "all is well"}])

    again = job.open(tmp_path / "map.tif")

    record = json.loads((tmp_path / "map.tif.run.json").read_text())
    assert isinstance(again, UpToDate)
    assert again.run.failures == finished.failures == (failure,) == tuple(record["failures"])
    assert again.run.notes == finished.notes == ({"note": "all is well"}, note)
    assert not finished.is_all_nodata
    assert record["fingerprint"]["model"] == "a"
    assert record["settings"] == {"batch": 4}
    assert record["outputs"]["labels"]["sha256"] == digest(tmp_path / "map.tif")
    assert "parts" not in record


@pytest.mark.parametrize("labelled", [False, True])
def test_a_result_without_any_label_is_known_as_such(
    labelled: bool, make_job: Callable, tmp_path: Path
) -> None:
    job = make_job(layers=(labels_layer(["land", "water"]),))
    with job.open(tmp_path / "map.tif") as store:
        for index, window in enumerate(job.windows):
            values = np.full((1, window.height, window.width), 255, np.uint8)
            values[0, -1, -1] = 1 if labelled and index == 2 else 255
            store.write(index, window, {"labels": values})
        assert store.finish({}).is_all_nodata == (not labelled)
    assert job.run(tmp_path / "map.tif").is_all_nodata == (not labelled)


def test_a_run_that_stops_before_its_first_part_leaves_nothing(
    make_job: Callable, tmp_path: Path
) -> None:
    job = make_job()
    for written, left in (([], set()), ([0], {"map.tif.parts"})):
        store = job.open(tmp_path / "map.tif")
        job.write(store, written)
        with pytest.raises(KeyboardInterrupt), store:
            interrupt()
        assert names(tmp_path) == left


def interrupt(*given: object) -> None:
    raise KeyboardInterrupt


def test_a_run_that_goes_on_keeps_the_settings_of_its_start(
    make_job: Callable, tmp_path: Path
) -> None:
    with make_job().open(tmp_path / "map.tif", settings={"batch": 8}) as store:
        assert store.settings == {"batch": 8}
    with make_job().open(tmp_path / "map.tif", settings={"batch": 2}) as store:
        assert store.settings == {"batch": 8}
    with make_job().open(tmp_path / "map.tif", settings={"batch": 2}, restart=True) as store:
        assert store.settings == {"batch": 2}


class TestStateOfTheOutput:
    def test_finished_by_the_same_run_is_up_to_date(
        self, make_job: Callable, tmp_path: Path
    ) -> None:
        target = make_job().run(tmp_path / "map.tif").target
        before = target.stat().st_mtime_ns

        assert isinstance(make_job().open(target), UpToDate)
        assert isinstance(make_job().open(target, overwrite=True), UpToDate)

        assert target.stat().st_mtime_ns == before
        assert names(tmp_path) == FINISHED

    def test_a_restart_makes_even_a_finished_result_anew(
        self, make_job: Callable, tmp_path: Path
    ) -> None:
        make_job().run(tmp_path / "map.tif")

        with make_job().open(tmp_path / "map.tif", restart=True) as store:
            assert store.finished == set()

    def test_finished_by_another_run_is_refused_and_the_difference_named(
        self, make_job: Callable, tmp_path: Path
    ) -> None:
        target = make_job(fingerprint={"model": {"sha256": "aa"}}).run(tmp_path / "map.tif").target
        before = target.read_bytes()

        with pytest.raises(OutputExistsError, match=r'model.sha256 was "aa", now "bb"'):
            make_job(fingerprint={"model": {"sha256": "bb"}}).open(target)

        assert target.read_bytes() == before
        assert names(tmp_path) == FINISHED

    def test_overwrite_replaces_it_only_at_the_end(
        self, make_job: Callable, tmp_path: Path
    ) -> None:
        target = make_job().run(tmp_path / "map.tif").target
        before = target.read_bytes()
        other = make_job(seed=1, fingerprint={"model": "b"}, layers=(labels_layer(["a", "b"]),))

        with other.open(target, overwrite=True) as store:
            other.write(store)
            assert target.read_bytes() == before
            store.finish({})

        with rasterio.open(target) as file:
            np.testing.assert_array_equal(file.read(), other.values(other.layers[0]))
        assert names(tmp_path) == FINISHED - {"map_confidence.tif"}

    @pytest.mark.parametrize("name", ["map.tif", "map_confidence.tif"])
    def test_a_file_of_other_origin_is_refused(
        self, make_job: Callable, tmp_path: Path, name: str
    ) -> None:
        (tmp_path / name).write_bytes(b"precious")

        with pytest.raises(OutputExistsError, match=f"{name} is there already"):
            make_job().open(tmp_path / "map.tif")

        assert (tmp_path / name).read_bytes() == b"precious"
        assert names(tmp_path) == {name}

    def test_a_result_that_was_changed_since_is_not_up_to_date(
        self, make_job: Callable, tmp_path: Path
    ) -> None:
        target = make_job().run(tmp_path / "map.tif").target
        target.write_bytes(target.read_bytes() + b"!")

        with pytest.raises(OutputExistsError, match="no finished run"):
            make_job().open(target)

    def test_a_layer_that_was_deleted_is_made_again_without_being_asked(
        self, make_job: Callable, digest: Callable, tmp_path: Path
    ) -> None:
        first = make_job().run(tmp_path / "map.tif")
        shas = {name: digest(path) for name, path in first.outputs.items()}
        (tmp_path / "map_confidence.tif").unlink()

        again = make_job().run(tmp_path / "map.tif")

        assert {name: digest(path) for name, path in again.outputs.items()} == shas

    @pytest.mark.parametrize(
        ("other", "told"),
        [
            ({"fingerprint": {"model": "b"}}, 'model was "a", now "b"'),
            ({"width": 51}, "grid.width was 50, now 51"),
            ({"layers": (labels_layer(["a", "b"]),)}, "layers.confidence was"),
        ],
    )
    def test_parts_of_another_run_are_refused_unless_restarted(
        self, make_job: Callable, tmp_path: Path, other: dict[str, object], told: str
    ) -> None:
        with make_job().open(tmp_path / "map.tif") as store:
            make_job().write(store, [0])
        before = names(tmp_path / "map.tif.parts")

        with pytest.raises(OutputExistsError, match=told):
            make_job(**other).open(tmp_path / "map.tif")
        assert names(tmp_path / "map.tif.parts") == before

        with make_job(**other).open(tmp_path / "map.tif", restart=True) as store:
            assert store.finished == set()

    def test_a_folder_of_parts_without_a_run_is_left_alone(
        self, make_job: Callable, tmp_path: Path
    ) -> None:
        (tmp_path / "map.tif.parts").mkdir()
        (tmp_path / "map.tif.parts" / "notes.txt").write_text("mine")

        with pytest.raises(OutputExistsError, match="unknown run"):
            make_job().open(tmp_path / "map.tif")
        assert names(tmp_path / "map.tif.parts") == {"notes.txt"}

    def test_a_folder_under_the_name_is_refused(self, make_job: Callable, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="is a folder"):
            make_job().open(tmp_path)

    def test_a_name_that_gdal_cannot_write_is_refused(
        self, make_job: Callable, tmp_path: Path
    ) -> None:
        with pytest.raises(ConfigError, match=r"map\\udcff.tif is not valid UTF-8"):
            make_job().open(tmp_path / os.fsdecode(b"map\xff.tif"))


class TestDamage:
    def test_a_damaged_or_missing_part_is_made_again(
        self, make_job: Callable, digest: Callable, tmp_path: Path
    ) -> None:
        job = make_job()
        whole = job.run(tmp_path / "whole.tif").target
        with job.open(tmp_path / "map.tif") as store:
            job.write(store)
        flipped = tmp_path / "map.tif.parts" / "part-000001-labels.tif"
        data = bytearray(flipped.read_bytes())
        data[-50] ^= 4
        flipped.write_bytes(data)
        (tmp_path / "map.tif.parts" / "part-000002-confidence.tif").unlink()

        with job.open(tmp_path / "map.tif") as store:
            assert store.finished == {0}
        job.run(tmp_path / "map.tif")

        assert digest(tmp_path / "map.tif") == digest(whole)

    def test_a_part_that_is_damaged_before_the_end_is_noticed(
        self, make_job: Callable, tmp_path: Path
    ) -> None:
        """Another valid file under a part's name: GDAL sees nothing wrong with it."""
        job, other = make_job(), make_job(seed=1)
        with job.open(tmp_path / "map.tif") as store, other.open(tmp_path / "b.tif") as second:
            job.write(store)
            other.write(second)
            name = "part-000001-labels.tif"
            (store.folder / name).write_bytes((second.folder / name).read_bytes())

            with pytest.raises(ResourceError, match=r"part-000001-labels\.tif changed after"):
                store.finish({})
        assert not (tmp_path / "map.tif").exists()
        with job.open(tmp_path / "map.tif") as store:
            assert store.finished == {0, 2}

    @pytest.mark.parametrize("cut", [1, 40])
    def test_a_line_of_the_journal_that_was_cut_short_does_not_count(
        self, make_job: Callable, digest: Callable, tmp_path: Path, cut: int
    ) -> None:
        job = make_job()
        whole = job.run(tmp_path / "whole.tif").target
        with job.open(tmp_path / "map.tif") as store:
            job.write(store, [0, 1])
        journal = tmp_path / "map.tif.parts" / "parts.jsonl"
        journal.write_bytes(journal.read_bytes()[:-cut])

        with job.open(tmp_path / "map.tif") as store:
            assert store.finished == {0}
            job.write(store, [1])
        with job.open(tmp_path / "map.tif") as store:
            assert store.finished == {0, 1}
        job.run(tmp_path / "map.tif")

        assert digest(tmp_path / "map.tif") == digest(whole)

    @given(st.data())
    def test_a_journal_with_any_byte_damaged_loses_the_lines_that_it_hits_and_no_more(
        self, make_job: Callable, digest: Callable, data: st.DataObject
    ) -> None:
        job = make_job(height=10, width=12, rows=2, layers=(labels_layer(["a", "b"]),))
        with TemporaryDirectory() as name:
            whole, broken = Path(name, "whole.tif"), Path(name, "broken.tif")
            job.run(whole)
            with job.open(broken) as store:
                job.write(store)
            journal = Path(name, "broken.tif.parts", "parts.jsonl")
            content = bytearray(journal.read_bytes())
            at = data.draw(st.integers(0, len(content) - 1))
            content[at] = data.draw(st.integers(0, 255))
            journal.write_bytes(content)

            with job.open(broken) as store:
                lost = set(range(5)) - store.finished
            job.run(broken)

            hit = content.count(b"\n", 0, at)
            assert lost <= {hit, hit + 1}, "a line's end belongs to two lines"
            assert digest(broken) == digest(whole)

    @pytest.mark.parametrize("name", ["map.tif.run.json", "map.tif.parts/parts.jsonl"])
    def test_a_folder_in_the_place_of_a_record_is_told_in_one_line(
        self, make_job: Callable, tmp_path: Path, name: str
    ) -> None:
        with make_job().open(tmp_path / "map.tif") as store:
            make_job().write(store, [0])
        (tmp_path / name).unlink(missing_ok=True)
        (tmp_path / name).mkdir()

        with pytest.raises(ResourceError, match=rf"{name} cannot be read \(Is a directory\): "):
            make_job().run(tmp_path / "map.tif")

        assert not (tmp_path / "map.tif.lock").exists()


class TestDisk:
    @pytest.mark.parametrize("limit", [0, 300, 5_000])
    def test_a_disk_that_fills_up_during_parts_keeps_what_is_finished(
        self,
        make_job: Callable,
        digest: Callable,
        tmp_path: Path,
        small_disk: SmallDisk,
        limit: int,
    ) -> None:
        job = make_job(height=600, width=200, rows=200)
        whole = job.run(tmp_path / "whole.tif").target
        with job.open(tmp_path / "map.tif") as store:
            job.write(store, [0])
            with (
                small_disk(limit),
                pytest.raises(ResourceError, match="cannot be written") as error,
            ):
                job.write(store, [1])

        assert error.value.exit_code == 5
        assert "\n" not in str(error.value)
        assert not (tmp_path / "map.tif").exists()
        with job.open(tmp_path / "map.tif") as store:
            assert store.finished == {0}
        assert digest(job.run(tmp_path / "map.tif").target) == digest(whole)

    @pytest.mark.parametrize("limit", [100, 5_000, 60_000, 110_000, 200_000])
    def test_a_disk_that_fills_up_at_the_end_leaves_the_earlier_file_and_the_parts(
        self,
        make_job: Callable,
        digest: Callable,
        tmp_path: Path,
        small_disk: SmallDisk,
        limit: int,
    ) -> None:
        """The limits hit the VRT, the overviews on their way, and the file itself."""
        layers = (labels_layer(["a", "b", "c"]),)
        earlier = make_job(layers=layers, height=700, width=900, rows=350)
        job = replace(earlier, seed=1, fingerprint={"model": "b"})
        before = digest(earlier.run(tmp_path / "map.tif").target)
        with job.open(tmp_path / "map.tif", overwrite=True) as store:
            job.write(store)
            with small_disk(limit), pytest.raises(ResourceError, match="cannot be written"):
                store.finish({})

        assert digest(tmp_path / "map.tif") == before
        left = names(tmp_path / "map.tif.parts")
        assert all(name.startswith(("part", "run.json")) for name in left)
        with job.open(tmp_path / "map.tif", overwrite=True) as store:
            assert store.finished == {0, 1}
            store.finish({"model": "a"})
        with rasterio.open(tmp_path / "map.tif") as file:
            np.testing.assert_array_equal(file.read(), job.values(layers[0]))

    def test_too_little_space_is_said_before_any_work(
        self, make_job: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        usage = SimpleNamespace(total=1, used=1, free=1 << 20)
        monkeypatch.setattr(parts_module.shutil, "disk_usage", lambda _: usage)

        with pytest.raises(
            ResourceError, match=r"0\.00 GiB free, the result needs about 0\.02 GiB"
        ):
            make_job().open(tmp_path / "maps" / "new" / "map.tif")
        assert names(tmp_path) == set()

    @pytest.mark.parametrize("reached", ["run.json", "a part"])
    def test_a_disk_that_is_full_from_the_start_keeps_nothing(
        self, make_job: Callable, tmp_path: Path, small_disk: SmallDisk, reached: str
    ) -> None:
        job = make_job(height=600, width=200, rows=200)
        with job.open(tmp_path / "other.tif") as store:
            about = (store.folder / "run.json").stat().st_size
        (tmp_path / "other.tif.parts").rename(tmp_path / "other")
        limit = about - 1 if reached == "run.json" else about
        with small_disk(limit), pytest.raises(ResourceError, match="cannot be written"):
            job.run(tmp_path / "map.tif")
        assert names(tmp_path) == {"other"}

    def test_parts_that_are_there_are_not_counted_twice(
        self, make_job: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        job = make_job()
        with job.open(tmp_path / "map.tif") as store:
            job.write(store, [0, 1])
        sizes = [path.stat().st_size for path in (tmp_path / "map.tif.parts").glob("part-*.tif")]
        need = required_bytes(job.geobox, job.layers) - sum(sizes)
        for free, enough in ((need - 1, False), (need, True)):
            usage = SimpleNamespace(total=1, used=1, free=free)
            monkeypatch.setattr(parts_module.shutil, "disk_usage", lambda _, found=usage: found)
            if enough:
                job.run(tmp_path / "map.tif")
            else:
                with pytest.raises(ResourceError, match="GiB free"):
                    job.open(tmp_path / "map.tif")
                assert len(list((tmp_path / "map.tif.parts").glob("part-*.tif"))) == len(sizes)

    def test_a_folder_that_cannot_be_written_is_said_before_any_work(
        self, make_job: Callable, tmp_path: Path
    ) -> None:
        (tmp_path / "file").write_text("no folder")

        for target in (tmp_path / "file" / "map.tif", Path("/proc/nowhere/map.tif")):
            with pytest.raises(ResourceError, match="cannot be written") as error:
                make_job().open(target)
            assert error.value.exit_code == 5


class Stopped(BaseException):
    """Stands for a kill in a test."""


@contextmanager
def stopped_at(step: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Stop at the n-th call that changes the disk, and at every later one.

    A file that is opened for writing is stopped when it is open and empty, all else before.
    """
    taken = [0]

    def counted(real: Callable) -> Callable:
        def call(*args: object, **options: object) -> object:
            opening = real.__name__ == "open"
            if opening and args[1:] != ("wb",):
                return real(*args, **options)
            taken[0] += 1
            if taken[0] <= step:
                return real(*args, **options)
            if opening:
                real(*args, **options).close()
            raise Stopped

        return call

    with monkeypatch.context() as patched:
        for name in ("open", "replace", "unlink", "rmdir", "mkdir"):
            patched.setattr(Path, name, counted(getattr(Path, name)))
        patched.setattr(os, "fsync", counted(os.fsync))
        yield


@pytest.mark.parametrize("earlier", ["none", "another run"])
def test_stops_at_any_step_are_made_good_by_running_again(
    make_job: Callable,
    digest: Callable,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    earlier: str,
) -> None:
    """At no moment is there anything under the final name but a whole file, old or new."""
    job, old = make_job(rows=40), make_job(rows=60, seed=1, fingerprint={"model": "old"})
    whole = {name: digest(path) for name, path in job.run(tmp_path / "w.tif").outputs.items()}
    start = tmp_path / "start"
    start.mkdir()
    allowed = {whole["labels"]}
    if earlier != "none":
        allowed.add(digest(old.run(start / "map.tif").target))
    step, stopped = 0, True
    while stopped:
        stopped = False
        target = tmp_path / str(step) / "map.tif"
        copytree(start, target.parent)
        for stop in (step, 6 + step % 3):
            try:
                with stopped_at(stop, monkeypatch):
                    job.run(target, overwrite=earlier != "none")
            except Stopped:
                stopped = True
                assert not target.exists() or digest(target) in allowed, step
        outputs = job.run(target, overwrite=earlier != "none").outputs
        assert {name: digest(path) for name, path in outputs.items()} == whole, step
        assert names(target.parent) == FINISHED, step
        step += 1
    assert step > 40


def test_open_run_without_labels_is_a_mistake(make_job: Callable, tmp_path: Path) -> None:
    job = make_job()
    with pytest.raises(ValueError, match="one layer must be the labels"):
        open_run(tmp_path / "map.tif", {}, job.geobox, job.layers[1:])


def test_a_store_is_a_part_store(make_job: Callable, tmp_path: Path) -> None:
    with make_job().open(tmp_path / "new" / "folder" / "map.tif") as store:
        assert isinstance(store, PartStore)
