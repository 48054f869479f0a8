"""Many scenes, one after the other: a bad one never stops the others."""

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Unpack

from geohier.data.scene import Scene, open_scene, open_scenes_as_mosaic
from geohier.errors import FINISHED_WITH_FAILURES, ConfigError, GeohierError
from geohier.inference.job import Job, check_options, prepare
from geohier.inference.object_job import run_object_job
from geohier.inference.options import PredictOptions
from geohier.inference.pipeline import Prediction, run_job
from geohier.inference.predictor import Predictor, finds_objects
from geohier.inference.progress import Progress
from geohier.inference.target import check_named_geotiff, check_outside_models, is_geotiff_name
from geohier.raster.layers import layer_path
from geohier.raster.reader import OpenOptions
from geohier.raster.source import PixelSource
from geohier.raster.vectors import DRIVERS, check_named_vector

type OpenSource = Callable[[], PixelSource]
type WatchJob = Callable[[Job], AbstractContextManager[Progress | None]]


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
    objects: bool = False,
    **options: Unpack[OpenOptions],
) -> list[Assignment]:
    """Say where each scene's classes go: one scene to the file `out`, several to a folder `out`.

    Args:
        scenes: scenes; a text is a URL.
        out: a file, or a folder; one scene goes to a folder if that exists or has no suffix.
        mosaic: read all scenes as one.
        objects: results are vector files of objects, not GeoTIFFs.
        options: how scenes are opened.

    Raises:
        ConfigError: `out` is named like a file where a folder is needed, or not like a GeoTIFF
            where one is written; or a URL is to be part of a mosaic.
    """
    _check_name(out, 1 if mosaic else len(scenes), objects=objects)
    into_folder, suffix = out.is_dir() or out.suffix == "", ".gpkg" if objects else ".tif"
    if mosaic:
        return [_mosaic(scenes, out / f"mosaic{suffix}" if into_folder else out, options)]
    into_folder |= len(scenes) > 1
    return [
        _assignment(scene, lambda name: out / f"{name}{suffix}" if into_folder else out, options)
        for scene in scenes
    ]


def _check_name(out: Path, results: int, *, objects: bool) -> None:
    if out.is_dir() or out.suffix == "":
        return
    is_file_name = out.suffix.lower() in DRIVERS if objects else is_geotiff_name(out)
    if results > 1 and (is_file_name or out.is_file()):
        raise ConfigError(f"{out} names a file, but there are {results} scenes: name a folder")
    if results == 1 and objects and is_geotiff_name(out):
        raise ConfigError(f"{out}: the model finds objects: call it {out.stem}.gpkg")
    if results == 1 and objects:
        check_named_vector(out)
    elif results == 1:
        check_named_geotiff(out)


def _mosaic(scenes: Sequence[Scene | str], target: Path, options: OpenOptions) -> Assignment:
    rasters = [scene for scene in scenes if isinstance(scene, Scene)]
    if len(rasters) < len(scenes):
        raise ConfigError("a mosaic is made of files on this machine: download its rasters first")
    return Assignment(
        name="mosaic",
        target=target,
        open=lambda: open_scenes_as_mosaic(rasters, **options),
    )


def _assignment(
    scene: Scene | str, target_of: Callable[[str], Path], options: OpenOptions
) -> Assignment:
    name = scene.id if isinstance(scene, Scene) else Path(scene).stem
    return Assignment(
        name=name,
        target=target_of(name),
        open=lambda: open_scene(scene, **options),
    )


def predict_all(
    assignments: Sequence[Assignment],
    predictor: Predictor,
    options: PredictOptions,
    *,
    watch: WatchJob = lambda job: nullcontext(),
) -> list[Outcome]:
    """Predict scenes one after the other; what stops one is kept with it.

    Args:
        assignments: what goes where.
        predictor: the model.
        options: how to predict.
        watch: called with each job before its work; gives a context that lasts as long as the
            work does, and in it what is called as the work goes on.

    Raises:
        GeohierError: an option that would stop every scene: nothing was done.
    """
    check_options(options, predictor)
    check_targets(assignments, options)
    return [_predict_one(one, predictor, options, watch) for one in assignments]


def check_targets(assignments: Sequence[Assignment], options: PredictOptions) -> None:
    """Check that results may lie where they are to go, each at a place of its own.

    Raises:
        ConfigError: one would lie in a model directory, or a file would be written twice, as by
            scenes `a` and `a_confidence`.
    """
    for one in assignments:
        check_outside_models(one.target)
    paths = [layer_path(one.target, layer) for one in assignments for layer in options.layers]
    for path, count in Counter(paths).items():
        if count > 1:
            raise ConfigError(f"{path} would be written {count} times: predict those scenes apart")


def prepared(assignment: Assignment, predictor: Predictor, options: PredictOptions) -> Job:
    """Open a scene and prepare its prediction; the caller closes `job.source`."""
    source = assignment.open()
    try:
        return prepare(source, predictor, options)
    except BaseException:
        source.__exit__()
        raise


def _predict_one(
    assignment: Assignment, predictor: Predictor, options: PredictOptions, watch: WatchJob
) -> Outcome:
    run = run_object_job if finds_objects(predictor) else run_job
    try:
        job = prepared(assignment, predictor, options)
        with job.source, watch(job) as progress:
            prediction = run(job, assignment.target, progress)
    except GeohierError as error:
        return Outcome(assignment=assignment, error=error)
    return Outcome(assignment=assignment, prediction=prediction)


def exit_code(outcomes: Sequence[Outcome]) -> int:
    """Return 0 if all is well, 6 if something was left out, the error's code if nothing worked."""
    errors = [outcome.error for outcome in outcomes if outcome.error is not None]
    lossy = any(o.prediction.exit_code for o in outcomes if o.prediction is not None)
    return FINISHED_WITH_FAILURES if lossy else exit_code_of(errors, len(outcomes))


def exit_code_of(errors: Sequence[GeohierError], scenes: int) -> int:
    """Return the exit code where so many of the scenes ended in these errors."""
    if errors and len(errors) == scenes:
        return errors[0].exit_code
    return FINISHED_WITH_FAILURES if errors else 0
