"""Objects that were found are paired with true ones."""

from itertools import combinations, permutations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from geohier.evaluation.matching import assign_within

PLACES = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=4)


def best(found: np.ndarray, true: np.ndarray, within: float) -> tuple[int, float]:
    """Try every way: the number of pairs, and their sum of distances."""
    results = [(0, 0.0)]
    for count in range(1, min(len(found), len(true)) + 1):
        for some in combinations(range(len(found)), count):
            for others in permutations(range(len(true)), count):
                apart = np.linalg.norm(found[list(some)] - true[list(others)], axis=1)
                if (apart <= within).all():
                    results.append((-count, float(apart.sum())))
    count, total = min(results)
    return -count, total


@given(PLACES, PLACES, st.sampled_from([0.5, 1.0, 1.5, 2.5, 4.0]))
def test_as_many_as_can_be_and_of_these_the_nearest(found: list, true: list, within: float) -> None:
    first, second = (np.array(one, float).reshape(-1, 2) for one in (found, true))
    pairs = assign_within(first, second, within)
    apart = np.linalg.norm(first[pairs[:, 0]] - second[pairs[:, 1]], axis=1)
    assert (apart <= within).all()
    assert len({*pairs[:, 0].tolist()}) == len({*pairs[:, 1].tolist()}) == len(pairs)
    count, total = best(first, second, within)
    assert len(pairs) == count
    np.testing.assert_allclose(apart.sum(), total)


def test_many_objects_are_paired_group_by_group() -> None:
    rng = np.random.default_rng(0)
    true = rng.random((5000, 2)) * 1000
    found = true[::-1] + rng.normal(scale=0.1, size=true.shape)
    pairs = assign_within(found, true, 1.0)
    assert (pairs[:, 1] == 4999 - pairs[:, 0]).mean() > 0.99
