"""`geohier predict`: scenes and a model to maps."""

import json
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from geohier.cli.errors import one_line, reports_errors, say, say_error
from geohier.cli.prediction_flags import PredictionFlags, parse_pairs, takes_flags
from geohier.cli.progress import megapixels_per_second, pixel_progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from geohier.inference.job import Job
    from geohier.inference.many import Outcome
    from geohier.inference.progress import Progress


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
        watch=(lambda job: nullcontext()) if quiet else _say_notes_and_progress,
    )
    _report(outcomes, as_json=as_json)
    raise typer.Exit(exit_code(outcomes))


def _say_notes_and_progress(job: "Job") -> AbstractContextManager["Progress"]:
    for note in job.notes:
        say(f"{job.source.name}: {note}")
    return pixel_progress(job.source.name)


def _report(outcomes: "Sequence[Outcome]", *, as_json: bool) -> None:
    if as_json:
        rows = [_as_dict(outcome) for outcome in outcomes]
        typer.echo(json.dumps(rows[0] if len(rows) == 1 else rows, indent=2))
        for outcome in outcomes:
            if outcome.error is not None:
                say_error(outcome.error, outcome.assignment.name if len(rows) > 1 else "")
    elif len(outcomes) == 1:
        _report_one(outcomes[0])
    else:
        _report_table(outcomes)


def _report_one(outcome: "Outcome") -> None:
    if outcome.error is not None:
        raise outcome.error
    typer.echo(f"{outcome.assignment.target}: {_what_happened(outcome)}")


def _report_table(outcomes: "Sequence[Outcome]") -> None:
    width = max(len(outcome.assignment.name) for outcome in outcomes)
    for outcome in outcomes:
        typer.echo(f"{outcome.assignment.name:{width}}  {_what_happened(outcome)}")
        if outcome.error is not None:
            say_error(outcome.error, outcome.assignment.name)


def _what_happened(outcome: "Outcome") -> str:
    prediction = outcome.prediction
    if prediction is None:
        assert outcome.error is not None
        return f"failed: {one_line(outcome.error, outcome.assignment.name)}"
    grid = prediction.plan.grid
    size = f"{grid.height} x {grid.width} px"
    if prediction.up_to_date:
        return f"{size}, up to date"
    rate = megapixels_per_second(grid.height * grid.width, prediction.seconds)
    tiles = "1 tile" if len(grid) == 1 else f"{len(grid)} tiles"
    text = f"{size} from {tiles} in {prediction.seconds:.1f} s ({rate})"
    lost = len(prediction.run.failures)
    if prediction.run.is_all_nodata:
        text += "; no pixel got a class"
    if lost:
        blocks = "1 block" if lost == 1 else f"{lost} blocks"
        record = f"{outcome.assignment.target.name}.run.json"
        text += f"; {blocks} could not be read and became nodata, see {record}"
    return text


def _as_dict(outcome: "Outcome") -> dict[str, object]:
    row: dict[str, object] = {"scene": outcome.assignment.name}
    prediction = outcome.prediction
    if outcome.error is not None:
        code = outcome.error.exit_code
        return row | {"status": "failed", "error": str(outcome.error), "exit_code": code}
    assert prediction is not None
    return row | {
        "status": "up to date" if prediction.up_to_date else "written",
        "outputs": {name: str(path) for name, path in prediction.run.outputs.items()},
        "height": prediction.plan.grid.height,
        "width": prediction.plan.grid.width,
        "tiles": len(prediction.plan.grid),
        "redundancy": prediction.plan.grid.redundancy,
        "seconds": prediction.seconds,
        "failures": list(prediction.run.failures),
        "notes": list(prediction.notes),
    }
