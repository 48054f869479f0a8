"""Sizes of objects, counted strip by strip."""

from collections import Counter
from itertools import groupby, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage

from geohier.studies.object_sizes import ObjectCounter, SizeTable, WidthCounter

masks = arrays.arrays(np.bool_, arrays.array_shapes(min_dims=2, max_dims=2, max_side=20))


@given(masks, st.lists(st.integers(0, 20), max_size=6))
def test_objects_do_not_depend_on_the_strips(mask: np.ndarray, cuts: list[int]) -> None:
    """Whatever strips a scene is counted by, its objects are those of the whole."""
    numbers, count = ndimage.label(mask, np.ones((3, 3)))
    whole = Counter(np.bincount(numbers.ravel())[1:].tolist())
    counter = ObjectCounter()
    for top, bottom in pairwise(sorted({0, len(mask), *(min(cut, len(mask)) for cut in cuts)})):
        counter.add(mask[top:bottom])
    found = counter.finish()
    assert found == whole
    assert found.total() == count


def test_a_ring_that_closes_late_is_one_object() -> None:
    ring = np.ones((40, 9), bool)
    ring[:-1, 3:6] = False
    counter = ObjectCounter()
    for row in ring:
        counter.add(row[None])
    assert counter.finish() == {ring.sum(): 1}


@given(masks, st.integers(1, 20))
def test_runs_do_not_depend_on_the_strips(mask: np.ndarray, rows: int) -> None:
    """A strip of 3 px has runs of 3 px one way, and of its length the other."""
    labels = mask.astype(np.uint8)
    counter = WidthCounter(2)
    for top in range(0, len(labels), rows):
        counter.add(labels[top : top + rows])
    runs = [0, 0]
    for lines in (labels, labels.T):
        for line in lines:
            for value, _ in groupby(line.tolist()):
                runs[value] += 1
    assert counter.runs.tolist() == runs


def test_diameters_are_those_of_discs_and_percentiles_weigh_objects_or_area() -> None:
    """99 huts of 4 m and one hall, which has more area than all of them together."""
    hut, hall = np.pi / 4 * 4**2, np.pi / 4 * 60**2
    table = SizeTable.of(Counter({hut: 99, hall: 1}), width=3)
    assert table.count == 100
    assert table.percentiles(10, 50, 90) == pytest.approx((4, 4, 4))
    assert table.area_percentiles(10, 50) == pytest.approx((4, 60))
    assert table.area_shares((0, 5, np.inf)) == pytest.approx((99 * 16 / 5184, 3600 / 5184))
