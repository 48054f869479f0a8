"""Many scenes, one after the other: a bad one never stops the others."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Unpack

from geohier.data.scene import Scene, open_scene, open_scenes_as_mosaic
from geohier.errors import (
    FINISHED_WITH_FAILURES,
    ConfigError,
    GeohierError,
    InputError,
    ModelError,
    OutputExistsError,
    OutputLockedError,
)
from geohier.inference.job import Job, prepare
from geohier.inference.options import PredictOptions
from geohier.inference.pipeline import Prediction, Progress, run_job
from geohier.inference.predictor import Predictor
from geohier.raster.reader import OpenOptions
from geohier.raster.source import PixelSource

OF_ONE_SCENE = (InputError, ModelError, OutputExistsError, OutputLockedError)
"""Errors that say nothing about the next scene."""

type OpenSource = Callable[[], PixelSource]


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """A scene, how to open it, and the file that its classes go to."""

    name: str
    target: Path
    open: OpenSource


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one scene: a prediction, or the error that stopped it."""

    assignment: Assignment
    prediction: Prediction | None = None
    error: GeohierError | None = None


def assign(
    scenes: Sequence[Scene | str],
    out: Path,
    *,
    mosaic: bool = False,
    **options: Unpack[OpenOptions],
) -> list[Assignment]:
    """Say where each scene's classes go: one scene to the file `out`, several to a folder `out`.

    Args:
        scenes: scenes; a text is a URL.
        out: a file, or a folder; one scene goes to a folder if that exists or ends with `/`.
        mosaic: read all scenes as one.
        options: how scenes are opened.

    Raises:
        ConfigError: `out` is a file where a folder is needed.
    """
    if mosaic:
        rasters = [scene for scene in scenes if isinstance(scene, Scene)]
        return [
            Assignment(
                name="mosaic",
                target=out / "mosaic.tif" if out.is_dir() else out,
                open=lambda: open_scenes_as_mosaic(rasters, **options),
            )
        ]
    if len(scenes) > 1 and out.is_file():
        raise ConfigError(f"{out} is a file, but there are {len(scenes)} scenes: name a folder")
    into_folder = len(scenes) > 1 or out.is_dir() or out.suffix == ""
    return [_assignment(scene, out, into_folder, options) for scene in scenes]


def _assignment(
    scene: Scene | str, out: Path, into_folder: bool, options: OpenOptions
) -> Assignment:
    name = scene.id if isinstance(scene, Scene) else Path(scene).stem
    return Assignment(
        name=name,
        target=out / f"{name}.tif" if into_folder else out,
        open=lambda: open_scene(scene, **options),
    )


def predict_all(
    assignments: Sequence[Assignment],
    predictor: Predictor,
    options: PredictOptions,
    *,
    on_scene: Callable[[str], Progress | None] = lambda name: None,
) -> list[Outcome]:
    """Predict scenes one after the other; errors of one are kept with it.

    Args:
        assignments: what goes where.
        predictor: the model.
        options: how to predict.
        on_scene: called with each scene's name; gives what is called as its work goes on.

    Raises:
        GeohierError: something that would stop every scene: an option, the disk, the device.
    """
    return [_predict_one(one, predictor, options, on_scene(one.name)) for one in assignments]


def prepared(assignment: Assignment, predictor: Predictor, options: PredictOptions) -> Job:
    """Open a scene and prepare its prediction; the caller closes `job.source`."""
    source = assignment.open()
    try:
        return prepare(source, predictor, options)
    except BaseException:
        source.__exit__()
        raise


def _predict_one(
    assignment: Assignment,
    predictor: Predictor,
    options: PredictOptions,
    progress: Progress | None,
) -> Outcome:
    try:
        job = prepared(assignment, predictor, options)
        with job.source:
            prediction = run_job(job, assignment.target, progress)
    except OF_ONE_SCENE as error:
        return Outcome(assignment=assignment, error=error)
    return Outcome(assignment=assignment, prediction=prediction)


def exit_code(outcomes: Sequence[Outcome]) -> int:
    """Return 0 if all is well, 6 if something was left out, the error's code if nothing worked."""
    errors = [outcome.error for outcome in outcomes if outcome.error is not None]
    if errors and len(errors) == len(outcomes):
        return errors[0].exit_code
    codes = [o.prediction.exit_code for o in outcomes if o.prediction is not None]
    return FINISHED_WITH_FAILURES if errors or any(codes) else 0
