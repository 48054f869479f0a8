"""Differences seed by seed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from geohier.errors import ConfigError
from geohier.evaluation.by_seed import difference_by_seed

Scores = dict[int, float]
scores = st.dictionaries(st.integers(0, 9), st.floats(0, 1), min_size=1, max_size=6)


@given(scores)
def test_nothing_differs_from_itself(one: Scores) -> None:
    found = difference_by_seed(one, one)
    assert found is not None
    assert found.mean == 0
    assert {found.low, found.high} == ({0.0} if len(one) > 1 else {None})


@given(scores, scores)
def test_only_seeds_that_both_have_are_paired_and_sides_may_be_swapped(
    one: Scores, other: Scores
) -> None:
    there, back = difference_by_seed(one, other), difference_by_seed(other, one)
    if not one.keys() & other.keys():
        assert there is back is None
        return
    assert there is not None
    assert back is not None
    assert there.each == {seed: one[seed] - other[seed] for seed in one.keys() & other.keys()}
    assert there.mean == pytest.approx(-back.mean)
    if len(there.each) == 1:
        assert there.low is there.high is None
    else:
        assert there.low is not None
        assert back.high is not None
        assert there.low <= there.mean + 1e-12
        assert there.low == pytest.approx(-back.high)


@given(st.lists(st.integers(-100, 100), min_size=2, max_size=8), st.sampled_from([0.5, 0.95]))
def test_the_range_is_that_of_a_paired_t_test(gains: list[int], level: float) -> None:
    if len({*gains}) == 1:
        return  # without spread a t-test has no range
    zero = dict.fromkeys(range(len(gains)), 0.0)
    found = difference_by_seed(dict(enumerate(map(float, gains))), zero, level=level)
    wanted = stats.ttest_1samp(gains, 0).confidence_interval(level)
    assert found is not None
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high), abs=1e-9)


def test_a_level_is_a_share() -> None:
    with pytest.raises(ConfigError, match="between 0 and 1, found 95"):
        difference_by_seed({0: 1.0}, {0: 1.0}, level=95)
