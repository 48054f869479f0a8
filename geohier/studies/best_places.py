"""The best places of a field that lie apart: greedy, exact, and window by window.

As in non-maximum suppression, the best pixel is taken, those around it are left out, and so on. Of
each window only its best pixel is kept; it is read again when that one is too near to a better one.
"""

import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geohier.geo.window import Window

type Field = Callable[[Window], NDArray[np.floating]]
"""The values of a window, `(H, W)`; NaN where there are none."""


@dataclass(frozen=True, slots=True, order=True)
class _Best:
    """The best pixel of a window: least is best, and first in reading order where values tie."""

    negative: float
    row: int
    column: int
    window: tuple[int, int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class BestPlace:
    """A pixel that was chosen, and its value."""

    row: int
    column: int
    value: float


def best_apart(
    field: Field, windows: Iterable[Window], count: int, apart_px: tuple[float, float]
) -> list[BestPlace]:
    """Return the best places of a field, best first, none nearer to a better one than `apart_px`.

    Args:
        field: reads the values of a window.
        windows: cover the field, each pixel once.
        count: how many places at most.
        apart_px: smallest distance between places, along rows' and columns' axes, in pixels.
    """
    found: list[BestPlace] = []
    waiting = [best for window in windows if (best := _best(field, window, (), apart_px))]
    heapq.heapify(waiting)
    while waiting and len(found) < count:
        best = waiting[0]
        if not any(_near(best.row, best.column, one, apart_px) for one in found):
            found.append(BestPlace(row=best.row, column=best.column, value=-best.negative))
            continue  # it is too near to itself now
        row, column, height, width = best.window
        window = Window(row_off=row, col_off=column, height=height, width=width)
        again = _best(field, window, found, apart_px)
        if again is None:
            heapq.heappop(waiting)
        else:
            heapq.heapreplace(waiting, again)
    return found


def _best(
    field: Field, window: Window, found: Iterable[BestPlace], apart_px: tuple[float, float]
) -> _Best | None:
    """Return the best pixel of a window that is not too near to what is found."""
    near = [one for one in found if _near(*_nearest(window, one), one, apart_px)]
    if any(_covers(window, one, apart_px) for one in near):
        return None
    values = field(window).astype(np.float64)
    values[np.isnan(values)] = -np.inf
    rows = np.arange(window.row_off, window.row_stop)[:, None]
    columns = np.arange(window.col_off, window.col_stop)
    for one in near:
        values[_near(rows, columns, one, apart_px)] = -np.inf
    row, column = divmod(int(values.argmax()), window.width)
    if values[row, column] == -np.inf:
        return None
    return _Best(
        -float(values[row, column]),
        window.row_off + row,
        window.col_off + column,
        (window.row_off, window.col_off, window.height, window.width),
    )


def _near[T: (int, NDArray[np.int64])](
    row: T, column: T, one: BestPlace, apart_px: tuple[float, float]
) -> NDArray[np.bool_]:
    down, right = (row - one.row) / apart_px[0], (column - one.column) / apart_px[1]
    return np.asarray(down**2 + right**2 < 1)


def _nearest(window: Window, one: BestPlace) -> tuple[int, int]:
    row = min(max(one.row, window.row_off), window.row_stop - 1)
    return row, min(max(one.column, window.col_off), window.col_stop - 1)


def _covers(window: Window, one: BestPlace, apart_px: tuple[float, float]) -> bool:
    rows, columns = (window.row_off, window.row_stop - 1), (window.col_off, window.col_stop - 1)
    farthest = max(rows, key=lambda row: abs(row - one.row))
    return bool(_near(farthest, max(columns, key=lambda at: abs(at - one.column)), one, apart_px))
