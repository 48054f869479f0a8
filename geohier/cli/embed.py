"""`geohier embed`: scenes and a model to rasters of features."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from geohier.cli.errors import reports_errors
from geohier.cli.outcomes import quietly, report, say_notes_and_progress
from geohier.cli.prediction_flags import EmbedFlags, parse_list, parse_pairs, takes_flags
from geohier.errors import ConfigError


@reports_errors
@takes_flags
def embed(
    scenes: Annotated[
        list[str],
        typer.Argument(
            metavar="SCENE", help="Scenes, as `geohier predict` takes them.", show_default=False
        ),
    ],
    model: Annotated[
        Path, typer.Option("--model", "-m", help="Model directory.", show_default=False)
    ],
    levels: Annotated[
        str,
        typer.Option(
            help="Levels of the model, 0 is the finest; `geohier inspect MODEL` lists them.",
            metavar="0,2",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out", "-o", help="GeoTIFF to write; a folder for several.", show_default=False
        ),
    ],
    flags: EmbedFlags,
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
        bool, typer.Option("--dry-run", help="Say what would be done; write nothing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Neither progress nor notes on stderr.")
    ] = False,
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
    options = replace(
        flags.predict_options(),
        creation=parse_pairs("--co", [pair.upper() for pair in creation or ()]),
        restart=restart,
        overwrite=overwrite,
        strict=strict,
    )
    if dry_run:
        from geohier.cli.plan import print_plans

        print_plans(found, model, out, flags, options, as_json=as_json, levels=wanted)
        return
    from geohier.inference.embed import as_embedder
    from geohier.inference.many import assign, exit_code, predict_all
    from geohier.inference.predictor import as_predictor

    outcomes = predict_all(
        assign(found, out, mosaic=flags.mosaic, **flags.open_options()),
        as_embedder(as_predictor(model), wanted),
        options,
        watch=quietly if quiet else say_notes_and_progress,
    )
    report(outcomes, as_json=as_json)
    raise typer.Exit(exit_code(outcomes))


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
