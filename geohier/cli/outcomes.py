"""What commands that work over scenes say while they do, and what became of each scene."""

import json
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, NoReturn

import typer

from geohier.cli.errors import one_line, say_error, say_note
from geohier.cli.progress import megapixels_per_second, pixel_progress

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from geohier.cli.prediction_flags import SceneFlags
    from geohier.data.scene import Scene
    from geohier.inference.job import Job
    from geohier.inference.many import Outcome
    from geohier.inference.options import PredictOptions
    from geohier.inference.pipeline import Prediction
    from geohier.inference.predictor import Predictor
    from geohier.inference.progress import Progress


def work_over(
    scenes: "Sequence[Scene | str]",
    out: "Path",
    load: "Callable[[], Predictor]",
    flags: "SceneFlags",
    options: "PredictOptions",
    *,
    as_json: bool,
    quiet: bool,
    objects: bool = False,
) -> NoReturn:
    """Have a model go over scenes, report what became of each, and exit by it.

    The model is loaded once it is known that every scene has a place for its result.
    """
    from geohier.inference.many import assign, exit_code, predict_all

    outcomes = predict_all(
        assign(scenes, out, mosaic=flags.mosaic, objects=objects, **flags.open_options()),
        load(),
        options,
        watch=quietly if quiet else notes_and_progress,
    )
    _report(outcomes, as_json=as_json)
    raise typer.Exit(exit_code(outcomes))


def notes_and_progress(job: "Job") -> AbstractContextManager["Progress"]:
    """Print what a user should know about a job, and how its work goes on."""
    for note in job.notes:
        say_note(note, job.source.name)
    return pixel_progress(job.source.name)


def quietly(job: "Job") -> AbstractContextManager[None]:
    """Print nothing."""
    return nullcontext()


def _report(outcomes: "Sequence[Outcome]", *, as_json: bool) -> None:
    """Print what became of each scene: a line each, or JSON.

    Raises:
        GeohierError: what stopped the only scene.
    """
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
    size = _size(prediction)
    if prediction.up_to_date:
        return f"{size}, up to date"
    rate = megapixels_per_second(grid.height * grid.width, prediction.seconds)
    tiles = "1 tile" if len(grid) == 1 else f"{len(grid)} tiles"
    text = f"{size} from {tiles} in {prediction.seconds:.1f} s ({rate})"
    text += _left_early(prediction)
    lost = len(prediction.run.failures)
    if prediction.run.is_all_nodata:
        text += "; no pixel got a class" if prediction.features is None else "; no pixel holds data"
    if lost:
        blocks = "1 block" if lost == 1 else f"{lost} blocks"
        record = f"{outcome.assignment.target.name}.run.json"
        text += f"; {blocks} could not be read and became nodata, see {record}"
    return text


def _left_early(prediction: "Prediction") -> str:
    """Say how many tiles left early, if they may."""
    exits = prediction.exits
    if exits is None:
        return ""
    total = sum(exits.tiles.values())
    each = ", ".join(f"{exits.tiles[factor]} at 1/{factor}" for factor in exits.tiles if factor > 1)
    much = f"{exits.saved:.0%} of the compute saved"
    if exits.saved < 0:
        much = f"{-exits.saved:.0%} more compute than without exits"
    return f"; {exits.early} of {total} tiles left early ({each}): {much}"


def _as_dict(outcome: "Outcome") -> dict[str, object]:
    row: dict[str, object] = {"scene": outcome.assignment.name}
    prediction = outcome.prediction
    if outcome.error is not None:
        code = outcome.error.exit_code
        return row | {"status": "failed", "error": str(outcome.error), "exit_code": code}
    assert prediction is not None
    return row | {
        "status": "up to date" if prediction.up_to_date else "written",
        "outputs": {name: str(path) for name, path in prediction.outputs.items()},
        "height": prediction.shape[0],
        "width": prediction.shape[1],
        "tiles": len(prediction.plan.grid),
        "redundancy": prediction.plan.grid.redundancy,
        "seconds": prediction.seconds,
        "failures": list(prediction.run.failures),
        "notes": list(prediction.notes),
        **_exits(prediction),
        **_features(prediction),
        **({} if prediction.objects is None else {"objects": dict(prediction.objects)}),
    }


def _size(prediction: "Prediction") -> str:
    height, width = prediction.shape
    size = f"{height} x {width} px"
    features = prediction.features
    if prediction.objects is not None:
        counts = ", ".join(f"{count} of {name}" for name, count in prediction.objects.items())
        return f"{counts}; {size}"
    if features is None:
        return size
    levels = ", ".join(str(level.level) for level in features.levels)
    word = "level" if len(features.levels) == 1 else "levels"
    return f"{features.channels} features of {word} {levels}, {size}"


def _exits(prediction: "Prediction") -> dict[str, object]:
    if prediction.exits is None:
        return {}
    tiles = {str(factor): count for factor, count in prediction.exits.tiles.items()}
    return {"exits": {"tiles": tiles, "compute_saved": round(prediction.exits.saved, 6)}}


def _features(prediction: "Prediction") -> dict[str, object]:
    if prediction.features is None:
        return {}
    return {"bands": prediction.features.channels, "levels": prediction.features.identity}
