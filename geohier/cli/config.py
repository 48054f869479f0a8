"""`geohier config`: show a config with all its defaults, or the schema of configs."""

from pathlib import Path
from typing import Annotated

import typer

from geohier.cli.errors import reports_errors
from geohier.errors import ConfigError

app = typer.Typer(no_args_is_help=True, help="Show a config, or what a config may say.")


@app.command()
@reports_errors
def show(
    file: Annotated[
        Path | None,
        typer.Argument(exists=True, dir_okay=False, help="Config to resolve; else the defaults."),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a key, such as chips.size_px=256."),
    ] = None,
) -> None:
    """Print FILE with its parents and all defaults, each key with what it means."""
    from geohier.config.load import load_config
    from geohier.config.text import EXAMPLE, commented_config

    if overrides and file is None:
        raise ConfigError("--set changes a config: name its FILE before it")
    config = load_config(file, overrides or []) if file else EXAMPLE
    if config.model.encoder != EXAMPLE.model.encoder:
        _check_encoder(config.model.encoder, file)
    typer.echo(commented_config(config), nl=False)


def _check_encoder(name: str, file: Path | None) -> None:
    from geohier.models.encoders import check_encoder  # brings timm: seconds

    try:
        check_encoder(name)
    except ConfigError as error:
        raise ConfigError(f"{file}: {error}") from error


@app.command()
@reports_errors
def schema() -> None:
    """Print the JSON schema of a config, for editors that complete and check YAML."""
    from geohier.config.text import config_schema

    typer.echo(config_schema())
