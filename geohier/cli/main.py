"""The `geohier` command: its subcommands, and what holds for all of them."""

import atexit
import os
import sys
from contextlib import suppress
from typing import Annotated, NoReturn

import typer

from geohier.cli.ablate import ablate
from geohier.cli.config import app as config_app
from geohier.cli.data import app as data_app
from geohier.cli.demo import demo
from geohier.cli.doctor import doctor
from geohier.cli.embed import embed
from geohier.cli.errors import Commands, stop_on_sigterm
from geohier.cli.evaluate import evaluate
from geohier.cli.given_once import GivenOnce
from geohier.cli.init import init
from geohier.cli.inspect import inspect
from geohier.cli.memory import memory
from geohier.cli.models import app as models_app
from geohier.cli.plan import plan
from geohier.cli.predict import predict
from geohier.cli.pretrain import pretrain
from geohier.cli.probe import probe
from geohier.cli.similar import similar
from geohier.cli.train import train
from geohier.cli.tune import tune
from geohier.cli.vectorize import vectorize

app = typer.Typer(
    name="geohier",
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help=(
        "Train multi-scale models on labelled scenes and map rasters of any size with them.\n\n"
        "Start with: geohier demo"
    ),
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"geohier {version('geohier')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Take the options that come before the subcommand."""


for command in (
    demo,
    init,
    train,
    pretrain,
    tune,
    ablate,
    predict,
    plan,
    evaluate,
    embed,
    memory,
    probe,
    similar,
    vectorize,
    inspect,
    doctor,
):
    app.command(cls=GivenOnce)(command)
app.add_typer(config_app, name="config")
app.add_typer(data_app, name="data")
app.add_typer(models_app, name="models")


def run() -> None:
    """Run the command line."""
    stop_on_sigterm()
    try:
        app()
    except SystemExit as end:
        leave(end.code)


def leave(code: str | int | None) -> NoReturn:
    """End the process at once: to take down torch's modules one by one costs seconds.

    What was registered to run at the end, such as ending worker processes, still runs.
    """
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # whoever read it is gone
            stream.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))
