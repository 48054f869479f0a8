"""`geohier doctor`: whether this machine can run geohier."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from geohier.cli.errors import reports_errors, say
from geohier.cli.usual_options import AsJson
from geohier.errors import ResourceError

if TYPE_CHECKING:
    from geohier.efficiency.environment import Check

MARKS = {"ok": "ok", "warn": "warning", "fail": "FAILS", "skipped": "skipped"}


@reports_errors
def doctor(
    folder: Annotated[
        Path, typer.Option(help="Folder in which results are to be written.")
    ] = Path(),
    fast: Annotated[
        bool, typer.Option("--fast", help="Leave out what needs PyTorch, which loads slowly.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Try what prediction needs on this machine; exit with 5 if something fails."""
    from geohier.efficiency.environment import examine

    checks = examine(folder, fast=fast)
    if as_json:
        done = list(checks)
        typer.echo(json.dumps([asdict(check) for check in done], indent=2))
    else:
        done = list(_shown(checks))
    failed = [check.name for check in done if check.state == "fail"]
    if failed:
        say(f"geohier: prediction cannot work here: {', '.join(failed)}")
        raise typer.Exit(ResourceError.exit_code)


def _shown(checks: Iterable["Check"]) -> Iterable["Check"]:
    """Print each check as soon as it is done."""
    for check in checks:
        typer.echo(f"{check.name:<13} {MARKS[check.state]:<8} {check.found}")
        if check.advice:
            typer.echo(f"{'':<22} -> {check.advice}")
        yield check
