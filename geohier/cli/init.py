"""`geohier init`: a commented config for a folder of images and labels."""

from pathlib import Path
from typing import Annotated

import typer

from geohier.cli.errors import reports_errors, say, say_note

MOST_NOTES = 5


@reports_errors
def init(
    folder: Annotated[
        Path, typer.Argument(exists=True, file_okay=False, help="Folder of images and labels.")
    ],
    seed: Annotated[int, typer.Option(help="Decides which scenes or blocks become val.")] = 0,
) -> None:
    """Write FOLDER/config.yaml, and FOLDER/split.csv where there is no split yet.

    Pairs are found as images/ and masks/ (or labels/) under the same names, or as NAME_mask beside
    NAME. Labels are rasters, or vector files: NAME.gpkg, .geojson, .fgb or .shp, or one for all
    images. What would stop a training early is told here. Nothing that is there is overwritten.
    """
    from geohier.data.initialise import initialise

    done = initialise(folder, seed=seed)
    classes = " ".join(one.name for one in done.config.data.classes)
    typer.echo(
        f"{done.config_file}: {len(done.catalog.train)} train and {len(done.catalog.val)} val "
        f"scenes, bands {' '.join(map(str, done.config.data.bands or ()))}, classes {classes}"
    )
    for note in done.notes[:MOST_NOTES]:
        say_note(note)
    if len(done.notes) > MOST_NOTES:
        say(f"... and {len(done.notes) - MOST_NOTES} more notes")
    if done.split_file is not None:
        typer.echo(f"{done.split_file}: written", err=True)
    typer.echo(
        f"name the classes in {done.config_file}, then: geohier train {done.config_file}", err=True
    )
