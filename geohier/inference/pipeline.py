"""The main job: a scene and a model in, a georeferenced map of classes out.

    scene -> tile rows -> scores -> finished strips -> part files -> COG, read back

Reading runs one tile row ahead of the model and writing one strip behind it, each on a thread of
its own.
"""

import logging
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from geohier.data.scene import Scene, open_scene
from geohier.errors import FINISHED_WITH_FAILURES
from geohier.geo.window import Window
from geohier.inference.exits import Exits
from geohier.inference.feature_encoding import measure_encodings
from geohier.inference.feature_reduction import FeatureReduction
from geohier.inference.features import Features
from geohier.inference.finishing import FinishedPart, finished_parts
from geohier.inference.identity import (
    check_unchanged,
    content_tags,
    fingerprint,
    identities,
    inputs_of,
    settings,
)
from geohier.inference.job import Job, prepare
from geohier.inference.options import PredictOptions
from geohier.inference.plan import WorkPlan
from geohier.inference.predictor import Predictor, as_predictor, finds_objects
from geohier.inference.progress import Progress
from geohier.inference.target import check_not_read, check_outside_models
from geohier.inference.threads import behind
from geohier.models.card import ModelCard
from geohier.models.directory import LoadedModel
from geohier.raster.layers import features_layer, layer_path
from geohier.raster.parts import FinishedRun, PartStore, UpToDate, open_run
from geohier.raster.record import Fact
from geohier.raster.source import PixelSource

LOG = logging.getLogger(__name__)

ENCODINGS = "encodings"
"""Setting of a run: scale and offset of each feature."""

NO_CLASS = "no pixel got a class: the map is nodata all over"
NO_DATA = "no pixel holds data: the features are nodata all over"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """A finished prediction.

    Args:
        run: the files, and what had to be left out.
        plan: how the work was cut, in pixels of the scene.
        shape: rows and columns of the result.
        features: what was written in place of classes.
        notes: what a user should know.
        up_to_date: whether everything was there already.
        seconds: time that this call took.
        exits: where the tiles left, if they could leave early.
        outputs: the files, by the name of what they hold.
        objects: how many objects of each class were found, if the model finds any.
    """

    run: FinishedRun
    plan: WorkPlan
    shape: tuple[int, int]
    features: Features | None
    notes: tuple[str, ...]
    up_to_date: bool
    seconds: float
    outputs: Mapping[str, Path]
    exits: Exits | None = None
    objects: Mapping[str, int] | None = None

    @property
    def exit_code(self) -> int:
        """0, or 6 where blocks that cannot be read were left out."""
        return FINISHED_WITH_FAILURES if self.run.failures else 0


def predict_raster(
    source: Path | str | Scene | PixelSource,
    target: Path | str,
    model: LoadedModel | Predictor | nn.Module | Path | str,
    *,
    card: ModelCard | None = None,
    options: PredictOptions | None = None,
    progress: Progress | None = None,
) -> Prediction:
    """Map a scene of any size: its classes as a COG on its own grid, or its objects as points.

    A run that was interrupted goes on where it stopped, and its result is the same to the byte.

    Args:
        source: raster, scene file, SAFE folder, or an opened source.
        target: GeoTIFF to write, or vector file of objects; further layers come to lie beside it.
        model: model directory, loaded model, or any module from `(B, C, H, W)` normalised pixels
            to `(B, K, H, W)` scores, with its `card`.
        card: bands, classes, stride and normalisation of a bare module.
        options: what else can be chosen.
        progress: called as work goes on.

    Raises:
        InputError: the scene cannot be read.
        ModelError: the model cannot be used, or not with this scene.
        OutputExistsError: `target` belongs to another run.
        ConfigError: options do not fit each other, or `target` is among what is read or in a model
            directory.
        ResourceError: disk, memory or device do not suffice; what is finished is kept.
        OutputLockedError: another process is writing `target`.
    """
    options = options or PredictOptions()
    with as_source(source) as scene:
        job = prepare(scene, as_predictor(model, card), options)
        if finds_objects(job.predictor):
            from geohier.inference.object_job import run_object_job  # which does this job first

            return run_object_job(job, Path(target), progress)
        return run_job(job, Path(target), progress)


def as_source(source: Path | str | Scene | PixelSource) -> AbstractContextManager[PixelSource]:
    """Return an open source; one that was open already stays open afterwards."""
    return open_scene(source) if isinstance(source, Path | str | Scene) else nullcontext(source)


def run_job(job: Job, target: Path, progress: Progress | None = None) -> Prediction:
    """Do what `prepare` has checked; see `predict_raster`."""
    started = time.perf_counter()
    _check_target(job, target)
    inputs = identities(inputs_of(job.source))
    run = open_run(
        target,
        fingerprint(job, inputs),
        job.geobox,
        job.layers,
        settings=settings(job),
        creation_options=job.options.creation,
        restart=job.options.restart,
        overwrite=job.options.overwrite,
    )
    if isinstance(run, UpToDate):
        finished = run.run
    else:
        with run:
            job = _settled(replace(job, plan=_kept(job.plan, run.settings)), run)
            LOG.info("%s: %s", job.source.name, _in_words(job, run))
            segment(job, run, progress)
            check_unchanged(inputs_of(job.source), inputs)
            LOG.info("%s: all parts are there; writing %s", job.source.name, target)
            notes = [{"note": note} for note in job.notes]
            finished = run.finish(content_tags(job), [*notes, *_saved(job, run.counts)])
    return Prediction(
        run=finished,
        plan=job.plan,
        shape=(job.geobox.height, job.geobox.width),
        features=job.predictor.features,
        notes=(*job.notes, _nothing_there(job)) if finished.is_all_nodata else job.notes,
        up_to_date=isinstance(run, UpToDate),
        seconds=time.perf_counter() - started,
        exits=_exits(job, finished.counts),
        outputs=finished.outputs,
    )


def _exits(job: Job, counts: Mapping[str, int]) -> Exits | None:
    if job.options.exits is None:
        return None
    return Exits.of(counts, job.options.exits)


def _saved(job: Job, counts: Mapping[str, int]) -> list[Fact]:
    exits = _exits(job, counts)
    return [] if exits is None else [{"compute_saved": round(exits.saved, 6)}]


def _check_target(job: Job, target: Path) -> None:
    check_outside_models(target)
    area = [] if job.options.aoi is None else [job.options.aoi]
    check_not_read(
        [layer_path(target, layer) for layer in job.layers], [*inputs_of(job.source), *area]
    )


def segment(job: Job, store: PartStore, progress: Progress | None = None) -> None:
    """Make the parts that are not there yet, and hand them to the store."""

    def write(part: FinishedPart) -> None:
        failures = [_failure(window) for window in part.failures]
        notes = [{"batch_size": part.forced_batch}] if part.forced_batch else []
        strip, counts = part.strip, part.counts
        store.write(part.index, strip.window, strip.layers, failures, notes, counts)

    parts = finished_parts(job, store.finished, progress)
    with behind(write) as hand_over, closing(parts):
        for part in parts:
            hand_over(part)


def _nothing_there(job: Job) -> str:
    return NO_CLASS if job.predictor.features is None else NO_DATA


def _settled(job: Job, store: PartStore) -> Job:
    """Return a job whose features have their encodings: those of the run's first start."""
    features = job.predictor.features
    if features is None:
        return job
    if ENCODINGS not in store.settings:
        store.decide(ENCODINGS, measure_encodings(job))
    kept: Any = store.settings[ENCODINGS]
    layer = features_layer(features.names, kept)
    store.layers = (layer,)
    reduction = FeatureReduction(features=features.channels, encodings=layer.encodings)
    return replace(job, layers=store.layers, reduction=reduction)


def _in_words(job: Job, store: PartStore) -> str:
    plan, bands = job.plan, zip(job.predictor.card.bands.names, job.match.found, strict=True)
    return (
        f"bands {', '.join(f'{own} from {found}' for own, found in bands)}; {len(plan.grid)} tiles "
        f"of {plan.grid.size} px, overlap {plan.grid.overlap}, margin {plan.grid.margin}, "
        f"{plan.batch_size} at once on {plan.device} in {plan.precision}; "
        f"{len(store.finished)} of {plan.parts} parts are there"
    )


def _kept(plan: WorkPlan, first: Mapping[str, Any]) -> WorkPlan:
    """Return the plan with what the first start of this run had decided."""
    swaths = tuple(range(*ends) for ends in first["swaths"])
    return replace(plan, batch_size=first["batch_size"], swaths=swaths)


def _failure(window: Window) -> dict[str, object]:
    return {"unreadable_block": asdict(window)}
