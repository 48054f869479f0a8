"""The main job: a scene and a model in, a georeferenced map of classes out.

    scene -> tile rows -> scores -> finished strips -> part files -> COG, read back

Reading runs one tile row ahead of the model and writing one strip behind it, each on a thread of
its own.
"""

import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from torch import nn

from geohier.data.scene import Scene, open_scene
from geohier.errors import FINISHED_WITH_FAILURES, ConfigError, RasterReadError
from geohier.geo.window import Window
from geohier.inference.batching import TileBatch, TileRow, TileRowReader
from geohier.inference.blending import RowBlender, Scored, Strip, finished_by
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
from geohier.inference.predictor import Predictor, as_predictor
from geohier.inference.progress import Meter
from geohier.inference.progress import Progress as Progress
from geohier.inference.scoring import Scorer
from geohier.inference.threads import ahead, behind
from geohier.models.card import ModelCard
from geohier.models.directory import LoadedModel
from geohier.raster.layers import layer_path
from geohier.raster.parts import FinishedRun, PartStore, UpToDate, open_run
from geohier.raster.source import PixelSource


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """A finished prediction.

    Args:
        run: the files, and what had to be left out.
        plan: how the work was cut.
        notes: what a user should know.
        up_to_date: whether everything was there already.
        seconds: time that this call took.
    """

    run: FinishedRun
    plan: WorkPlan
    notes: tuple[str, ...]
    up_to_date: bool
    seconds: float

    @property
    def exit_code(self) -> int:
        """0, or 6 where blocks that cannot be read were left out."""
        return FINISHED_WITH_FAILURES if self.run.failures else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedPart:
    """A strip on its way to the disk, and what has to be recorded with it."""

    index: int
    strip: Strip
    failures: tuple[Window, ...]
    forced_batch: int | None


def predict_raster(
    source: Path | str | Scene | PixelSource,
    target: Path | str,
    model: LoadedModel | Predictor | nn.Module | Path | str,
    *,
    card: ModelCard | None = None,
    options: PredictOptions | None = None,
    progress: Progress | None = None,
) -> Prediction:
    """Segment a scene of any size; write its classes as a COG on the scene's own grid.

    A run that was interrupted goes on where it stopped, and its result is the same to the byte.

    Args:
        source: raster, scene file, SAFE folder, or an opened source.
        target: GeoTIFF to write; further layers come to lie beside it.
        model: model directory, loaded model, or any module from `(B, C, H, W)` normalised pixels
            to `(B, K, H, W)` scores, with its `card`.
        card: bands, classes, stride and normalisation of a bare module.
        options: what else can be chosen.
        progress: called as work goes on.

    Raises:
        InputError: the scene cannot be read.
        ModelError: the model cannot be used, or not with this scene.
        OutputExistsError: `target` belongs to another run.
        ConfigError: options do not fit each other, or `target` is among what is read.
        ResourceError: disk, memory or device do not suffice; what is finished is kept.
        OutputLockedError: another process is writing `target`.
    """
    options = options or PredictOptions()
    with as_source(source) as scene:
        job = prepare(scene, as_predictor(model, card), options)
        return run_job(job, Path(target), progress)


def as_source(source: Path | str | Scene | PixelSource) -> AbstractContextManager[PixelSource]:
    """Return an open source; one that was open already stays open afterwards."""
    return open_scene(source) if isinstance(source, Path | str | Scene) else nullcontext(source)


def run_job(job: Job, target: Path, progress: Progress | None = None) -> Prediction:
    """Do what `prepare` has checked; see `predict_raster`."""
    started = time.perf_counter()
    _check_not_an_input(job, target)
    inputs = identities(inputs_of(job.source))
    run = open_run(
        target,
        fingerprint(job, inputs),
        job.source.geobox,
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
            job = replace(job, plan=_kept(job.plan, run.settings))
            segment(job, run, progress)
            check_unchanged(inputs_of(job.source), inputs)
            finished = run.finish(content_tags(job))
    return Prediction(
        run=finished,
        plan=job.plan,
        notes=job.notes,
        up_to_date=isinstance(run, UpToDate),
        seconds=time.perf_counter() - started,
    )


def _check_not_an_input(job: Job, target: Path) -> None:
    """Check that no output takes the place of a file that is read.

    Raises:
        ConfigError: one would.
    """
    there = [path for path in (layer_path(target, layer) for layer in job.layers) if path.exists()]
    read = [*inputs_of(job.source), *([job.options.aoi] if job.options.aoi else [])]
    for path in there:
        if any(path.samefile(source) for source in read if source.exists()):
            raise ConfigError(f"{path} is read for this result: choose another path for it")


def segment(job: Job, store: PartStore, progress: Progress | None = None) -> None:
    """Make the parts that are not there yet, and hand them to the store."""

    def write(part: FinishedPart) -> None:
        failures = [_failure(window) for window in part.failures]
        notes = [{"batch_size": part.forced_batch}] if part.forced_batch else []
        store.write(part.index, part.strip.window, part.strip.layers, failures, notes)

    parts = finished_parts(job, store.finished, progress)
    with behind(write) as hand_over, closing(parts):
        for part in parts:
            hand_over(part)


def finished_parts(
    job: Job, done: set[int], progress: Progress | None = None
) -> Generator[FinishedPart]:
    """Yield the parts of a job that are not `done`, swath by swath, from top to bottom.

    Part `s * rows + r` is what tile row `r` of swath `s` finishes.
    """
    meter = Meter(job.plan, done, progress)
    rows = job.plan.grid.rows
    with job.scorer() as scorer:
        for number, swath in enumerate(job.plan.swaths):
            asked = [row for row in range(rows) if number * rows + row not in done]
            for run in with_row_above(asked):
                yield from _finish_rows(job, scorer, swath, run, number * rows, meter)


def _finish_rows(
    job: Job, scorer: Scorer, swath: range, run: "RowRun", first: int, meter: Meter
) -> Generator[FinishedPart]:
    """Blend consecutive tile rows; the row above the first asked for only hands over."""
    blender = RowBlender(job.plan.grid, job.reduction, columns=swath, device=scorer.device)
    reader = TileRowReader(
        job.reader, job.plan.grid, columns=swath, bands=len(job.predictor.card.bands), area=job.area
    )
    unread: tuple[Window, ...] = ()
    rows = (reader.read(row, blender.strip_window(row)) for row in run.rows)
    with closing(ahead(rows)) as read_ahead:
        for tiles in read_ahead:
            unread += tiles.failures
            _refuse_unread(job, unread)
            asked = tiles.row >= run.asked_from
            scores = scored(tiles, scorer, job.plan.batch_size)
            counted = meter.watch(scores, finished_by(swath) if asked else range(0))
            strip = blender.blend_row(tiles.row, counted, tiles.wanted)
            scorer.check_finite()
            if not asked:
                continue
            forced, scorer.smallest_batch = scorer.smallest_batch, None
            yield FinishedPart(
                index=first + tiles.row, strip=strip, failures=unread, forced_batch=forced
            )
            unread = ()


def scored(tiles: TileRow, scorer: Scorer, batch_size: int) -> Iterator[Scored]:
    """Yield all tiles of a row with their scores, None for those that the model did not see."""
    batches = tiles.batches(batch_size)
    if scorer.device.type == "cuda":  # cut and pin the next batches while the device computes
        batches = ahead(map(TileBatch.pinned, batches), depth=2)
    with closing(batches):
        scores = scorer.score(batches)
        for tile in tiles.tiles:
            yield next(scores) if tile.column in tiles.seen else (tile, None)


@dataclass(frozen=True, slots=True)
class RowRun:
    """Consecutive tile rows to read, of which those from `asked_from` on are to be finished."""

    rows: range
    asked_from: int


def with_row_above(asked: Sequence[int]) -> Iterator[RowRun]:
    """Group rising tile rows into runs, each with the row above it, whose margin reaches down.

    Example:
        >>> [list(run.rows) for run in with_row_above([0, 1, 5, 6])]
        [[0, 1], [4, 5, 6]]
    """
    for _, group in groupby(enumerate(asked), key=lambda item: item[1] - item[0]):
        rows = [row for _, row in group]
        yield RowRun(rows=range(max(rows[0] - 1, 0), rows[-1] + 1), asked_from=rows[0])


def _kept(plan: WorkPlan, first: Mapping[str, Any]) -> WorkPlan:
    """Return the plan with what the first start of this run had decided."""
    swaths = tuple(range(*ends) for ends in first["swaths"])
    return replace(plan, batch_size=first["batch_size"], swaths=swaths)


def _refuse_unread(job: Job, unread: Sequence[Window]) -> None:
    if not unread or not job.options.strict:
        return
    count = len(set(unread))
    first = f"at row {unread[0].row_off}, column {unread[0].col_off}"
    found = f"1 block cannot be read, {first}"
    if count > 1:
        found = f"{count} blocks cannot be read, the first {first}"
    raise RasterReadError(f"{job.source.name}: {found}; without --strict that is nodata")


def _failure(window: Window) -> dict[str, object]:
    return {"unreadable_block": asdict(window)}
