"""`geohier data`: look at labelled scenes before they are trained on."""

import json
from pathlib import Path
from typing import Annotated

import typer

from geohier.cli.errors import reports_errors, say
from geohier.cli.progress import pixel_progress
from geohier.errors import ConfigError

app = typer.Typer(no_args_is_help=True, help="Look at labelled scenes, and split them.")

Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change the config; repeatable."),
]


@app.command()
@reports_errors
def check(
    config: Annotated[Path, typer.Argument(help="YAML config; `geohier init` writes one.")],
    overrides: Overrides = None,
    picture: Annotated[
        Path | None, typer.Option(help="PNG to write: images and labels side by side.")
    ] = None,
    buffer_m: Annotated[
        float,
        typer.Option(min=0, help="Labels of train and val closer than this are a leak too, m."),
    ] = 0.0,
    allow_overlap: Annotated[
        bool,
        typer.Option("--allow-overlap", help="Ground labelled in train and val is no error."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what the scenes of CONFIG hold, what suits them, and what is wrong with them.

    Ends with code 3 if something must be mended before training. All scenes are read once.

    Examples:
      geohier data check scenes/config.yaml --picture scenes.png
    """
    if picture is not None and picture.suffix.lower() != ".png":
        raise ConfigError(f"--picture {picture}: give a name that ends in .png")
    from geohier.config.load import load_config
    from geohier.studies.data_check import check_data

    settings = load_config(config, overrides or [])
    with pixel_progress(config.name) as show:
        report = check_data(
            settings, buffer_m=buffer_m, allow_overlap=allow_overlap, on_pixels=show
        )
    if as_json:
        typer.echo(json.dumps(report.to_json(), indent=2, allow_nan=False))
    else:
        from geohier.cli.data_tables import print_report

        print_report(report)
    for finding in report.findings:
        say(f"{'geohier' if finding.is_error else 'note'}: {' '.join(finding.text.split())}")
    if picture is not None and any(survey.view for _, survey in report.views):
        from geohier.studies.data_picture import draw_scenes

        draw_scenes(picture, report.views, settings.data.classes, title=config.stem)
        say(f"{picture}: written")
    if report.exit_code:
        raise typer.Exit(report.exit_code)
