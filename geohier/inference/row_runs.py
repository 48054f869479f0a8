"""Which tile rows have to be read so that some of them can be finished."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby


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
