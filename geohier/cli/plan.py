"""`geohier plan`: what a prediction would do and cost, before it is done."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from geohier.cli.errors import one_line, reports_errors
from geohier.cli.prediction_flags import PredictionFlags, SceneFlags, takes_flags
from geohier.cli.usual_options import AsJson, ModelDirectory
from geohier.errors import GeohierError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from geohier.data.scene import Scene
    from geohier.inference.many import Assignment
    from geohier.inference.options import PredictOptions
    from geohier.inference.predictor import Predictor
    from geohier.inference.preview import LevelPreview, Preview


@reports_errors
@takes_flags
def plan(
    scenes: Annotated[
        list[str],
        typer.Argument(
            metavar="SCENE", help="Scenes, as `geohier predict` takes them.", show_default=False
        ),
    ],
    model: ModelDirectory,
    flags: PredictionFlags,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Where it would go, to tell the free disk.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say what predicting a scene would do: tiles, bands, scales, memory, disk and time.

    Nothing is written. Takes the options of `geohier predict`, and plans what they would do.

    Example:
      geohier plan scene.tif --model model
    """
    from geohier.cli.scenes import named_scenes

    found = named_scenes(scenes, flags)
    print_plans(found, model, out, flags, flags.predict_options(), as_json=as_json)


def print_plans(
    scenes: "Sequence[Scene | str]",
    model: Path,
    out: Path | None,
    flags: SceneFlags,
    options: "PredictOptions",
    *,
    as_json: bool,
    levels: "Sequence[int] | None" = None,
) -> None:
    """Print the plan of each scene, or why it cannot be predicted; exit as `predict` would.

    With `levels`, that of `geohier embed`.
    """
    from geohier.inference.job import check_options
    from geohier.inference.many import assign, check_targets, exit_code_of
    from geohier.inference.predictor import as_predictor

    predictor = as_predictor(model)
    objects = predictor.card.points is not None and levels is None
    work = assign(
        scenes, out or Path(), mosaic=flags.mosaic, objects=objects, **flags.open_options()
    )
    if levels is not None:
        from geohier.inference.embed import as_embedder  # brings smp: seconds

        predictor = as_embedder(predictor, levels)
    check_options(options, predictor)
    if out is not None:
        check_targets(work, options)
    plans = [_plan_one(one, predictor, options, out) for one in work]
    errors = [plan for plan in plans if isinstance(plan, GeohierError)]
    if errors and len(plans) == 1:
        raise errors[0]
    named = zip(work, plans, strict=True)
    if as_json:
        rows = [_as_dict(one.name, plan) for one, plan in named]
        typer.echo(json.dumps(rows[0] if len(rows) == 1 else rows, indent=2))
    else:
        typer.echo("\n\n".join(_text(one.name, plan) for one, plan in named))
    raise typer.Exit(exit_code_of(errors, len(plans)))


def _plan_one(
    assignment: "Assignment", predictor: "Predictor", options: "PredictOptions", out: Path | None
) -> "Preview | GeohierError":
    from geohier.inference.many import prepared
    from geohier.inference.preview import preview

    try:
        job = prepared(assignment, predictor, options)
        with job.source:
            return preview(job, None if out is None else assignment.target)
    except GeohierError as error:
        return error


def _as_dict(name: str, plan: "Preview | GeohierError") -> dict[str, object]:
    if isinstance(plan, GeohierError):
        return {"scene": name, "error": str(plan), "exit_code": plan.exit_code}
    return plan.as_dict()


def _text(name: str, plan: "Preview | GeohierError") -> str:
    if isinstance(plan, GeohierError):
        return f"{'scene':<11} {name}\n{'failed':<11} {one_line(plan, name)}"
    return "\n".join(_lines(plan))


def _lines(one: "Preview") -> "Iterator[str]":
    from geohier.geo.gsd import span_of_m

    gsd = "not known" if one.gsd_m is None else f"{one.gsd_m:.3g} m"
    trained = "" if one.model_gsd_m is None else f" (trained on {span_of_m(*one.model_gsd_m)})"
    free = "" if one.free_disk_bytes is None else f", {_size(one.free_disk_bytes)} free"
    rows = {
        "scene": f"{one.scene}, {one.height} x {one.width} px, {one.crs or 'no CRS'}",
        "GSD": gsd + trained,
        "bands": ", ".join(f"{model} = {found}" for model, found in one.bands.items()),
        "tiles": f"{one.tiles} ({one.tile_rows} x {one.tile_columns}) of {one.tile_size_px} px, "
        f"overlap {one.overlap_px} px, margin {one.margin_px} px",
        "redundancy": f"{one.redundancy:.2f} tile pixels per raster pixel",
        "skipped": f"{one.skipped_share:.1%} of the tiles, known to hold nothing wanted",
        "runs on": f"{one.device} in {one.precision}, batches of {one.batch_size}, "
        f"{one.swaths} swath{'s' if one.swaths > 1 else ''}",
        "memory": f"about {_size(one.memory_bytes)}",
        "disk": f"up to {_size(one.disk_bytes)} while it runs{free}",
        "time": f"about {one.seconds:.0f} s",
        "writes": _written(one),
    }
    yield from (f"{name:<11} {value}" for name, value in rows.items())
    for at, level in enumerate(one.levels):
        yield f"{f'level {at}':<11} {_level(level)}"
    yield from (f"{'note':<11} {note}" for note in one.notes)


def _written(one: "Preview") -> str:
    layers = ", ".join(one.layers)
    if (one.result_height, one.result_width) == (one.height, one.width):
        return layers
    return f"{layers}, {one.result_bands} bands of {one.result_height} x {one.result_width} px"


def _level(level: "LevelPreview") -> str:
    sizes = f"from {level.smallest_object_m:.3g} m"
    if level.largest_object_m is not None:
        sizes += f" to {level.largest_object_m:.3g} m"
    return f"stride {level.stride_px} px, GSD {level.gsd_m:.3g} m, objects {sizes}"


def _size(count: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.3g} {unit}"
        count /= 1024
    return f"{count:.3g} TiB"
