"""Real processes that make features and are killed: the file is the same to the byte."""

import signal
from functools import partial
from pathlib import Path

import pytest
from long_work import Work, has_more_parts, parts_of
from processes import Command


def embedding(work: Work, out: Path, *more: object) -> Command:
    usual = ("--size", 64, "--overlap", 32, "--tta", "d4", "--device", "cpu")
    words = (work.scene, "--model", work.model, "--levels", "0,1", "--out", out, *usual, *more)
    return Command("embed", *words, logs=work.logs)


def killed(work: Work, out: Path) -> None:
    """Let it do some more, then kill it."""
    with embedding(work, out) as command:
        command.wait_until(partial(has_more_parts, out, than=parts_of(out)))
        command.send(signal.SIGKILL)
        assert command.wait().code == -signal.SIGKILL


@pytest.mark.slow
def test_features_whose_run_was_killed_are_those_of_an_unbroken_one(
    work: Work, tmp_path: Path
) -> None:
    whole, out = tmp_path / "whole" / "f.tif", tmp_path / "out" / "f.tif"
    with embedding(work, whole) as command:
        assert command.wait().code == 0
    killed(work, out)
    assert not out.exists()
    with embedding(work, out, "--quiet") as command:
        ended = command.wait()
    assert (ended.code, ended.err) == (0, "")
    assert out.read_bytes() == whole.read_bytes()
    assert {path.name for path in out.parent.iterdir()} == {"f.tif", "f.tif.run.json"}
