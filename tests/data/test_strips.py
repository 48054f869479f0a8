from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from geohier.data.strips import STRIP_BYTES, labelled_strips
from geohier.geo.window import Window


@given(
    st.integers(1, 10**6),
    st.integers(1, 10**7),
    st.sampled_from(["uint8", "float32"]),
    st.integers(1, 12),
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 5000)), max_size=3),
)
def test_strips_cover_the_rows_of_a_split_without_gaps_in_bounded_memory(
    height: int, width: int, dtype: str, bands: int, rows: list[tuple[int, int]]
) -> None:
    parts = [Window(row_off=top, col_off=0, height=tall, width=1) for top, tall in rows]
    parts = [part for part in parts if part.row_off < height]
    one: Any = SimpleNamespace(
        shape=(height, width),
        bands=tuple(range(bands)),
        dtype=np.dtype(dtype),
        scene=SimpleNamespace(windows=tuple(parts)),
    )
    first = min((part.row_off for part in parts), default=0)
    last = min(height, max((part.row_stop for part in parts), default=height))
    row_bytes = width * bands * one.dtype.itemsize
    strips = []
    for strip in labelled_strips(one):
        strips.append(strip)
        if len(strips) == 50:  # the rest is like them
            break
    assert strips[0].row_off == first
    assert strips[-1].row_stop == last or len(strips) == 50
    assert all(above.row_stop == below.row_off for above, below in pairwise(strips))
    for strip in strips:
        assert (strip.col_off, strip.width) == (0, width)
        assert strip.height * row_bytes <= max(STRIP_BYTES, row_bytes)
