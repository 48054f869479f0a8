"""`geohier predict`: scenes and a model to maps."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from geohier.cli.errors import reports_errors
from geohier.cli.outcomes import quietly, report, say_notes_and_progress
from geohier.cli.prediction_flags import PredictionFlags, parse_pairs, takes_flags


@reports_errors
@takes_flags
def predict(
    scenes: Annotated[
        list[str],
        typer.Argument(
            metavar="SCENE",
            help="Rasters, folders, globs, scene files (NAME.scene.yaml), Sentinel-2 SAFE folders.",
            show_default=False,
        ),
    ],
    model: Annotated[
        Path, typer.Option("--model", "-m", help="Model directory.", show_default=False)
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out", "-o", help="GeoTIFF to write; a folder for several.", show_default=False
        ),
    ],
    flags: PredictionFlags,
    creation: Annotated[
        list[str] | None,
        typer.Option("--co", metavar="KEY=VALUE", help="Creation option of GDAL's COG driver."),
    ] = None,
    restart: Annotated[
        bool, typer.Option("--restart", help="Throw away the parts of an unfinished run.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a finished output of another run.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Stop at a block that cannot be read.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what `geohier plan` prints; write nothing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Neither progress nor notes on stderr.")
    ] = False,
) -> None:
    """Segment scenes of any size; write their classes as GeoTIFFs on their own grids.

    A run that was interrupted goes on where it stopped when the same command is given again.
    Blocks that cannot be read become nodata, are listed in OUT.run.json, and the exit code is 6.

    Examples:
      geohier predict scene.tif --model model --out map.tif
      geohier predict scenes/ --model model --out maps/ --confidence
    """
    from geohier.cli.scenes import named_scenes

    found = named_scenes(scenes, flags)
    options = replace(
        flags.predict_options(),
        creation=parse_pairs("--co", [pair.upper() for pair in creation or ()]),
        restart=restart,
        overwrite=overwrite,
        strict=strict,
    )
    if dry_run:
        from geohier.cli.plan import print_plans

        print_plans(found, model, out, flags, options, as_json=as_json)
        return
    from geohier.inference.many import assign, exit_code, predict_all
    from geohier.inference.predictor import as_predictor

    outcomes = predict_all(
        assign(found, out, mosaic=flags.mosaic, **flags.open_options()),
        as_predictor(model),
        options,
        watch=quietly if quiet else say_notes_and_progress,
    )
    report(outcomes, as_json=as_json)
    raise typer.Exit(exit_code(outcomes))
