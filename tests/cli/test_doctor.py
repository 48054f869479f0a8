"""geohier doctor, as it is typed."""

import json
from pathlib import Path

import typer
from typer.testing import CliRunner

from geohier.cli.doctor import doctor

app = typer.Typer(pretty_exceptions_enable=False)
app.command()(doctor)


def test_a_machine_that_works_passes(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["--fast", "--folder", str(tmp_path)])
    assert (result.exit_code, result.stderr) == (0, "")
    assert "write test    ok" in result.stdout


def test_a_folder_that_cannot_be_written_exits_with_5(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = CliRunner().invoke(app, ["--fast", "--json", "--folder", str(tmp_path / "file")])
    assert result.exit_code == 5
    found = {check["name"]: check["state"] for check in json.loads(result.stdout)}
    assert found["write test"] == "fail"
    assert found["torch"] == "skipped"
    assert "prediction cannot work here: write test" in result.stderr
