"""`geohier predict`: scenes and a model to maps."""

from functools import partial
from typing import Annotated

import typer

from geohier.cli.errors import reports_errors
from geohier.cli.outcomes import work_over
from geohier.cli.prediction_flags import PredictFlags, takes_flags
from geohier.cli.usual_options import AsJson, ModelDirectory, Quiet, Target


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
    model: ModelDirectory,
    out: Target,
    flags: PredictFlags,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what `geohier plan` prints; write nothing.")
    ] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Map scenes of any size: classes as GeoTIFFs on their own grids, or objects as vector files.

    A run that was interrupted goes on where it stopped when the same command is given again.
    Blocks that cannot be read become nodata, are listed in OUT.run.json, and the exit code is 6.

    Examples:
      geohier predict scene.tif --model model --out map.tif
      geohier predict scenes/ --model model --out maps/ --confidence
    """
    from geohier.cli.scenes import named_scenes

    found = named_scenes(scenes, flags)
    options = flags.predict_options()
    if dry_run:
        from geohier.cli.plan import print_plans

        print_plans(found, model, out, flags, options, as_json=as_json)
        return
    from geohier.inference.predictor import as_predictor
    from geohier.models.manifest import finds_objects

    load, objects = partial(as_predictor, model), finds_objects(model)
    work_over(found, out, load, flags, options, as_json=as_json, quiet=quiet, objects=objects)
