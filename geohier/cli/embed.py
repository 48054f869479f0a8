"""`geohier embed`: scenes and a model to rasters of features."""

from typing import TYPE_CHECKING, Annotated

import typer

from geohier.cli.errors import reports_errors
from geohier.cli.outcomes import work_over
from geohier.cli.prediction_flags import EmbedFlags, parse_list, takes_flags
from geohier.cli.usual_options import AsJson, ModelDirectory, Quiet, Target
from geohier.errors import ConfigError

if TYPE_CHECKING:
    from geohier.inference.predictor import Predictor


@reports_errors
@takes_flags
def embed(
    scenes: Annotated[
        list[str],
        typer.Argument(
            metavar="SCENE", help="Scenes, as `geohier predict` takes them.", show_default=False
        ),
    ],
    model: ModelDirectory,
    levels: Annotated[
        str,
        typer.Option(
            help="Levels of the model, 0 is the finest; `geohier inspect MODEL` lists them.",
            metavar="0,2",
            show_default=False,
        ),
    ],
    out: Target,
    flags: EmbedFlags,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done; write nothing.")
    ] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Write what levels of a model hold for scenes of any size, as GeoTIFFs of features.

    Each band is one feature, in bytes with a scale and an offset of its own; nodata is 255. Pixels
    are as large as the cells of the finest level that is named: stride times those of the scene.
    A run that was interrupted goes on where it stopped when the same command is given again.

    Example:
      geohier embed scene.tif --model model --levels 0,2 --out features.tif
    """
    from geohier.cli.scenes import named_scenes

    wanted = parse_levels(levels)
    found = named_scenes(scenes, flags)
    options = flags.predict_options()
    if dry_run:
        from geohier.cli.plan import print_plans

        print_plans(found, model, out, flags, options, as_json=as_json, levels=wanted)
        return
    from geohier.inference.embed import as_embedder
    from geohier.inference.predictor import as_predictor

    def load() -> "Predictor":
        return as_embedder(as_predictor(model), wanted)

    work_over(found, out, load, flags, options, as_json=as_json, quiet=quiet)


def parse_levels(text: str) -> tuple[int, ...]:
    """Return the numbers of levels in a list with commas.

    Raises:
        ConfigError: an entry is no number.
    """
    entries = parse_list(text)
    wrong = next((entry for entry in entries if not entry.isdecimal()), None)
    if wrong is not None:
        raise ConfigError(f"--levels {text}: {wrong!r} is no level: give numbers, as in 0,2")
    return tuple(map(int, entries))
