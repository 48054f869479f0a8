"""Real processes that are killed, stopped, or meet another: the map is the same to the byte."""

import os
import random
import re
import signal
import time
from pathlib import Path

import pytest
from long_work import Work, digests, parts_of

FINISHED = {"map.tif", "map_confidence.tif", "map.tif.run.json"}


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_run_that_is_killed_and_killed_again_ends_as_an_unbroken_one(
    work: Work, whole: list[str], tmp_path: Path
) -> None:
    out = tmp_path / "out" / "map.tif"
    for _ in range(3):
        assert work.stopped(out, by=signal.SIGKILL).code == -signal.SIGKILL
        assert not out.exists()
    ended = work.done(out, "--quiet")
    assert (ended.code, ended.err) == (0, "")
    assert digests(out) == whole
    assert names(out.parent) == FINISHED


@pytest.mark.slow
def test_a_run_may_be_killed_at_any_moment(work: Work, whole: list[str], tmp_path: Path) -> None:
    """From the first call of the interpreter to the removal of the last part."""
    started = time.monotonic()
    assert work.done(tmp_path / "timed" / "map.tif").code == 0
    seconds = time.monotonic() - started
    chance = random.Random(0)
    for trial in range(12):
        out = tmp_path / f"trial{trial}" / "map.tif"
        for _ in range(4):
            with work.to(out) as command:
                time.sleep(chance.uniform(0, 1.1 * seconds))
                command.send(signal.SIGKILL)
                assert command.wait().code in (0, -signal.SIGKILL)
        ended = work.done(out, "--quiet")
        assert (ended.code, ended.err) == (0, ""), trial
        assert digests(out) == whole
        assert names(out.parent) == FINISHED


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_run_that_is_asked_to_stop_says_how_to_go_on(
    number: int, code: int, work: Work, whole: list[str], tmp_path: Path
) -> None:
    out = tmp_path / "out" / "map.tif"
    stopped = work.stopped(out, by=number)
    assert (stopped.code, stopped.out) == (code, "")
    assert stopped.err == "geohier: interrupted; run the same command again to go on\n"
    assert names(out.parent) == {"map.tif.parts"}
    assert work.done(out).code == 0
    assert digests(out) == whole
    assert names(out.parent) == FINISHED


def test_a_second_run_on_the_same_output_names_the_first(
    work: Work, whole: list[str], tmp_path: Path
) -> None:
    out = tmp_path / "out" / "map.tif"
    with work.to(out) as first:
        first.wait_until(out.with_name("map.tif.parts").exists)
        first.send(signal.SIGSTOP)
        second = work.done(out, "--overwrite", "--restart")
        first.send(signal.SIGCONT)
        ended = first.wait()
    assert (second.code, second.out) == (7, "")
    assert re.fullmatch(
        f"geohier: {out} is being written by process {first.pid} on .*: "
        "wait for it or stop it first\n",
        second.err,
    )
    assert ended.code == 0
    assert digests(out) == whole


def test_a_terminal_gets_a_bar_and_its_cursor_back(work: Work, tmp_path: Path) -> None:
    out = tmp_path / "out" / "map.tif"
    ours, theirs = os.openpty()
    with work.to(out, terminal=Path(os.ttyname(theirs))) as command:
        command.wait_until(lambda: parts_of(out) > 1)
        command.send(signal.SIGINT)
        assert command.wait().code == 130
    os.close(theirs)
    shown = b""
    while chunk := read_terminal(ours):
        shown += chunk
    os.close(ours)
    assert re.search(rb"scene .*%  [\d.e+-]+ Mpx/s", shown)
    assert shown.rfind(b"\x1b[?25h") > shown.rfind(b"\x1b[?25l") >= 0, "the cursor stays hidden"
    assert shown.endswith(b"geohier: interrupted; run the same command again to go on\r\n")


def read_terminal(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 1 << 16)
    except OSError:  # its other end is closed
        return b""
