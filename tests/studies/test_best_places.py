"""The best places of a field that lie apart: those of a greedy search that sees everything."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from geohier.geo.window import Window
from geohier.studies.best_places import best_apart
from geohier.studies.similarity import windows_of


def greedy(
    field: NDArray[np.float64], count: int, apart_px: tuple[float, float]
) -> list[tuple[int, int]]:
    """Take the best pixel of a whole field, strike out those around it, and so on."""
    left = np.where(np.isnan(field), -np.inf, field)
    rows, columns = np.indices(field.shape)
    found = []
    while len(found) < count and left.max() > -np.inf:
        row, column = (int(at) for at in np.unravel_index(left.argmax(), field.shape))
        found.append((row, column))
        near = ((rows - row) / apart_px[0]) ** 2 + ((columns - column) / apart_px[1]) ** 2 < 1
        left[near] = -np.inf
    return found


@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    side=st.tuples(st.integers(1, 50), st.integers(1, 50)),
    apart=st.tuples(st.floats(0.2, 30), st.floats(0.2, 30)),
    count=st.integers(1, 30),
    levels=st.sampled_from([3, 1000]),
)
def test_window_by_window_finds_what_a_search_of_the_whole_finds(
    seed: int, shape: tuple, side: tuple, apart: tuple, count: int, levels: int
) -> None:
    rng = np.random.default_rng(seed)
    field = rng.integers(0, levels, shape) / levels
    field[rng.random(shape) < 0.2] = np.nan
    found = best_apart(lambda w: field[w.slices], windows_of(*shape, *side), count, apart)
    assert [(one.row, one.column) for one in found] == greedy(field, count, apart)
    assert [one.value for one in found] == [field[one.row, one.column] for one in found]


def test_windows_far_from_what_is_found_are_read_once() -> None:
    field = np.random.default_rng(0).random((200, 200))
    read: list[Window] = []

    def counting(window: Window) -> NDArray[np.float64]:
        read.append(window)
        return field[window.slices]

    found = best_apart(counting, windows_of(200, 200, 20, 20), 3, (5, 5))
    assert len(found) == 3
    assert len(read) <= 100 + 3 * 4
