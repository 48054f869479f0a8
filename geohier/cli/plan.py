"""`geohier plan`: what a prediction would do and cost, before it is done."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from geohier.cli.errors import reports_errors
from geohier.cli.prediction_flags import PredictionFlags, takes_prediction_flags

if TYPE_CHECKING:
    from collections.abc import Sequence

    from geohier.data.scene import Scene
    from geohier.inference.options import PredictOptions
    from geohier.inference.preview import LevelPreview, Preview


@reports_errors
@takes_prediction_flags
def plan(
    scenes: Annotated[
        list[str],
        typer.Argument(
            metavar="SCENE...", help="Scenes, as `geohier predict` takes them.", show_default=False
        ),
    ],
    model: Annotated[
        Path, typer.Option("--model", "-m", help="Model directory.", show_default=False)
    ],
    flags: PredictionFlags,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Where it would go, to tell the free disk.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what predicting a scene would do: tiles, bands, scales, memory, disk and time.

    Nothing is written. Takes the options of `geohier predict`, and plans what they would do.

    Example:
      geohier plan scene.tif --model model
    """
    from geohier.cli.scenes import named_scenes

    options = flags.predict_options()
    print_plans(named_scenes(scenes), model, out, flags, options, as_json=as_json)


def print_plans(
    scenes: "Sequence[Scene | str]",
    model: Path,
    out: Path | None,
    flags: PredictionFlags,
    options: "PredictOptions",
    *,
    as_json: bool,
) -> None:
    """Print the plan of each scene."""
    from geohier.inference.many import assign, prepared
    from geohier.inference.predictor import as_predictor
    from geohier.inference.preview import preview

    work = assign(scenes, out or Path("map.tif"), mosaic=flags.mosaic, **flags.open_options())
    for assignment in work[:1]:
        assignment.open().__exit__()
    predictor = as_predictor(model)
    previews = []
    for assignment in work:
        job = prepared(assignment, predictor, options)
        with job.source:
            previews.append(preview(job, assignment.target if out else None))
    if as_json:
        rows = [one.as_dict() for one in previews]
        typer.echo(json.dumps(rows[0] if len(rows) == 1 else rows, indent=2))
    else:
        typer.echo("\n\n".join(_text(one) for one in previews))


def _text(one: "Preview") -> str:
    gsd = "not known" if one.gsd_m is None else f"{one.gsd_m:.3g} m"
    trained = (
        ""
        if one.model_gsd_m is None
        else " (trained on {:.3g} to {:.3g} m)".format(*one.model_gsd_m)
    )
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
        "writes": ", ".join(one.layers),
    }
    lines = [f"{name:<11} {value}" for name, value in rows.items()]
    lines += [f"{'level ' + str(at):<11} {_level(level)}" for at, level in enumerate(one.levels)]
    lines += [f"{'note':<11} {note}" for note in one.notes]
    return "\n".join(lines)


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
