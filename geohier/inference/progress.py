"""How far a run has come, in pixels of the raster."""

from collections.abc import Callable, Collection, Iterable, Iterator

from geohier.inference.blending import Scored, finished_by
from geohier.inference.plan import WorkPlan

type Progress = Callable[[int, int], None]
"""Called with the raster pixels that are done and those there are, first before any work."""


class Meter:
    """Counts each pixel once: with the tile that makes it final, or as part of an earlier start.

    Args:
        plan: how the work is cut.
        parts: parts that are there already; part `s * rows + r` is tile row `r` of swath `s`.
        progress: told at the start, and after each tile that counts.
    """

    def __init__(self, plan: WorkPlan, parts: Collection[int], progress: Progress | None) -> None:
        self.plan = plan
        self.progress = progress
        self.total = plan.grid.height * plan.grid.width
        self.done = sum(self._pixels_of_part(part) for part in parts)
        self._tell()

    def watch(self, scored: Iterable[Scored], columns: range) -> Iterator[Scored]:
        """Pass tiles on; those of other columns than these only hand over, and do not count."""
        for tile, scores in scored:
            yield tile, scores
            if tile.column in columns:
                self.done += self._pixels(tile.row, tile.column)
                self._tell()

    def _pixels_of_part(self, part: int) -> int:
        swath, row = divmod(part, self.plan.grid.rows)
        columns = finished_by(self.plan.swaths[swath])
        return sum(self._pixels(row, column) for column in columns)

    def _pixels(self, row: int, column: int) -> int:
        grid = self.plan.grid
        return len(grid.finished_rows(row)) * len(grid.finished_columns(column))

    def _tell(self) -> None:
        if self.progress is not None:
            self.progress(self.done, self.total)
