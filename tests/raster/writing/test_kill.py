"""Real processes that are killed, or find another at work."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from geohier.errors import OutputLockedError

CHILD = """
import os, signal, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import rasterio.shutil
from conftest import Job

target, moment = Path(sys.argv[2]), sys.argv[3]

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def wait():
    print("waiting", flush=True)
    time.sleep(60)

def die_at(name, number):
    real, calls = getattr(Path, name), []
    def call(*arguments, **options):
        calls.append(arguments)
        if len(calls) == number:
            die()
        return real(*arguments, **options)
    setattr(Path, name, call)

job = Job()
store = job.open(target)
if moment == "in a part":
    die_at("replace", 4)
elif moment == "hold":
    wait()
job.write(store)
if moment == "in the copy":
    real = rasterio.shutil.copy
    def copy(*arguments, **options):
        real(*arguments, **options)
        die()
    rasterio.shutil.copy = copy
elif moment == "before the labels":
    die_at("replace", 4)
elif moment == "among the parts":
    die_at("unlink", 5)
store.finish({"model": "a"})
"""


def start(target: Path, moment: str) -> subprocess.Popen[str]:
    here = str(Path(__file__).parent)
    command = [sys.executable, "-c", CHILD, here, str(target), moment]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_a_run_that_is_killed_again_and_again_ends_as_an_unbroken_one(
    make_job: Callable, digest: Callable, tmp_path: Path
) -> None:
    whole = make_job().run(tmp_path / "whole.tif").target
    target = tmp_path / "out" / "map.tif"

    for moment in ("in a part", "in the copy", "before the labels", "among the parts"):
        with start(target, moment) as child:
            assert child.wait(60) == -signal.SIGKILL, moment
        assert target.exists() == (moment == "among the parts")

    make_job().run(target)
    assert digest(target) == digest(whole)
    assert {path.name for path in target.parent.iterdir()} == {
        "map.tif", "map_confidence.tif", "map.tif.run.json",
    }  # fmt: skip


def test_a_second_run_on_the_same_output_is_told_who_holds_it_until_that_one_dies(
    make_job: Callable, tmp_path: Path
) -> None:
    target = tmp_path / "map.tif"
    with start(target, "hold") as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "waiting\n"

        with pytest.raises(OutputLockedError, match=f"process {child.pid} on ") as error:
            make_job().run(target)
        assert error.value.exit_code == 7
        assert json.loads((tmp_path / "map.tif.lock").read_text())["pid"] == child.pid

        os.kill(child.pid, signal.SIGKILL)
        child.wait(60)
    make_job().run(target)

    assert not (tmp_path / "map.tif.lock").exists()


def test_a_run_that_gave_up_lets_the_next_one_in(make_job: Callable, tmp_path: Path) -> None:
    first = make_job().open(tmp_path / "map.tif")
    with pytest.raises(OutputLockedError, match=f"process {os.getpid()} on "):
        make_job().open(tmp_path / "map.tif")

    first.close()

    make_job().run(tmp_path / "map.tif")
    assert not (tmp_path / "map.tif.lock").exists()
