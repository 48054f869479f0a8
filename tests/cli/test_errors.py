"""How commands end."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import typer

from geohier.cli.errors import Commands, Terminated, reports_errors


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("predict", "geohier: interrupted; run the same command again to go on\n"),
        ("train", "geohier: interrupted; run it again with --resume to go on\n"),
        ("doctor", "geohier: interrupted\n"),
    ],
)
@pytest.mark.parametrize(("stop", "code"), [(KeyboardInterrupt, 130), (Terminated, 143)])
def test_what_was_interrupted_says_how_it_goes_on(
    capsys: pytest.CaptureFixture[str],
    name: str,
    said: str,
    stop: type[KeyboardInterrupt],
    code: int,
) -> None:
    def command() -> None:
        raise stop

    command.__name__ = name
    with pytest.raises(typer.Exit) as end:
        reports_errors(command)()
    assert (end.value.exit_code, capsys.readouterr().err) == (code, said)


@pytest.mark.parametrize(
    ("words", "code", "out", "err"),
    [
        (("--version",), 0, b"geohier ", b""),
        (("inspect", "nowhere.tif"), 3, b"", b"nowhere.tif: no such file"),
    ],
)
def test_the_process_leaves_with_its_code_and_all_that_it_said(
    tmp_path: Path, words: tuple[str, ...], code: int, out: bytes, err: bytes
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from geohier.cli.main import run; run()", *words],
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    assert done.returncode == code
    assert out in done.stdout
    assert err in done.stderr


def test_verbose_shows_where_an_error_arose_before_the_line_that_tells_it(
    run: Callable, tmp_path: Path
) -> None:
    plain, more = (run("inspect", tmp_path / "nowhere.tif", *words) for words in ((), ("-v",)))
    assert (plain.code, more.code) == (3, 3)
    assert more.err.endswith(plain.err)
    assert "Traceback" in more.err
    assert "Traceback" not in plain.err


@pytest.mark.parametrize(("stop", "code"), [(KeyboardInterrupt, 130), (Terminated, 143)])
def test_what_is_interrupted_before_it_begins_ends_like_any_other(
    capsys: pytest.CaptureFixture[str], stop: type[KeyboardInterrupt], code: int
) -> None:
    small = typer.Typer(cls=Commands)

    @small.callback()
    def begin() -> None:
        raise stop

    @small.command()
    def work() -> None:
        pass

    with pytest.raises(SystemExit) as end:
        typer.main.get_command(small).main(["work"])
    assert end.value.code == code
    assert capsys.readouterr().err.strip() == "geohier: interrupted"
