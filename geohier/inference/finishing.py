"""From a prepared job to its finished parts, one row of tiles after the other.

tile rows, read ahead -> batches -> scores -> blended strips
"""

from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

from geohier.errors import RasterReadError
from geohier.geo.window import Window
from geohier.inference.batching import TileBatch, TileRow, TileRowReader
from geohier.inference.blending import RowBlender, Scored, Strip, finished_by
from geohier.inference.cells import any_in_cell, pixels_of_cells, tiles_of_cells
from geohier.inference.early import EarlyAnswers
from geohier.inference.job import Job
from geohier.inference.progress import Meter, Progress
from geohier.inference.row_runs import RowRun, with_row_above
from geohier.inference.scoring import Scorer
from geohier.inference.threads import ahead


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedPart:
    """A strip on its way to the disk, and what has to be recorded with it.

    Args:
        index: number of the part.
        strip: its layers.
        failures: blocks that could not be read, found since the part before.
        forced_batch: batch that the device's memory allowed, if smaller than planned.
        counts: how many of its tiles left with a look of each factor, where they may leave early.
    """

    index: int
    strip: Strip
    failures: tuple[Window, ...]
    forced_batch: int | None
    counts: Mapping[str, int]


def finished_parts(
    job: Job, done: Collection[int], progress: Progress | None = None
) -> Generator[FinishedPart]:
    """Yield the parts of a job that are not `done`, swath by swath, from top to bottom.

    Part `s * rows + r` is what tile row `r` of swath `s` finishes.
    """
    meter = Meter(job.plan, done, progress)
    rows = job.plan.grid.rows
    early = early_answers(job)
    with job.scorer() as scorer:
        for number, swath in enumerate(job.plan.swaths):
            asked = [row for row in range(rows) if number * rows + row not in done]
            for run in with_row_above(asked):
                yield from _finish_rows(job, scorer, early, swath, run, number * rows, meter)


def early_answers(job: Job) -> EarlyAnswers | None:
    """Return what tries the exits of a job, if it has some."""
    exits, card = job.options.exits, job.predictor.card
    if exits is None:
        return None
    return EarlyAnswers(exits, job.plan.grid, card, job.reduction.blendable)


def _finish_rows(
    job: Job,
    scorer: Scorer,
    early: EarlyAnswers | None,
    swath: range,
    run: RowRun,
    first: int,
    meter: Meter,
) -> Generator[FinishedPart]:
    """Blend consecutive tile rows; the row above the first asked for only hands over."""
    grid, stride = job.plan.grid, job.predictor.stride
    cells = tiles_of_cells(grid, stride)
    blender = RowBlender(cells, job.reduction, columns=swath, device=scorer.device)
    reader = TileRowReader(
        job.reader,
        grid,
        columns=swath,
        bands=len(job.match.indexes),
        area=job.area,
        around=(0, 0) if early is None else early.around,
    )
    unread: tuple[Window, ...] = ()
    finals = ((row, pixels_of_cells(blender.strip_window(row), stride, grid)) for row in run.rows)
    rows = (reader.read(row, final) for row, final in finals)
    with closing(ahead(rows)) as read_ahead:
        for tiles in read_ahead:
            unread += tiles.failures
            _refuse_unread(job, unread)
            asked = tiles.row >= run.asked_from
            scores = scored(tiles, scorer, job.plan.batch_size, early)
            counted = meter.watch(scores, finished_by(swath) if asked else range(0))
            wanted = any_in_cell(tiles.wanted, stride)
            strip = blender.blend_row(tiles.row, counted, wanted)
            scorer.check_finite()
            counts = {} if early is None else early.counts(finished_by(swath))
            if not asked:
                continue
            forced, scorer.smallest_batch = scorer.smallest_batch, None
            yield FinishedPart(
                index=first + tiles.row,
                strip=strip,
                failures=unread,
                forced_batch=forced,
                counts=counts,
            )
            unread = ()


def scored(
    tiles: TileRow, scorer: Scorer, batch_size: int, early: EarlyAnswers | None = None
) -> Iterator[Scored]:
    """Yield all tiles of a row with their scores, None for those that the model did not see."""
    if early is not None:
        yield from _with_unseen(tiles, early.score(tiles, batch_size, scorer))
        return
    batches = tiles.batches(batch_size)
    if scorer.device.type == "cuda":  # cut and pin the next batches while the device computes
        batches = ahead(map(TileBatch.pinned, batches), depth=2)
    with closing(batches):
        yield from _with_unseen(tiles, scorer.score(batches))


def _with_unseen(tiles: TileRow, scores: Iterator[Scored]) -> Iterator[Scored]:
    for tile in tiles.tiles:
        yield next(scores) if tile.column in tiles.seen else (tile, None)


def _refuse_unread(job: Job, unread: Sequence[Window]) -> None:
    if not unread or not job.options.strict:
        return
    count = len(set(unread))
    first = f"at row {unread[0].row_off}, column {unread[0].col_off}"
    found = f"1 block cannot be read, {first}"
    if count > 1:
        found = f"{count} blocks cannot be read, the first {first}"
    raise RasterReadError(f"{job.source.name}: {found}; without --strict that is nodata")
