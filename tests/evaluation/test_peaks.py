"""Objects as peaks of a map of scores."""

import tracemalloc
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from geohier.evaluation.peaks import (
    Ranked,
    find_peaks,
    first_of_equals,
    greedy_matches,
    peaks_in,
    rank,
    smoothed,
    within_pixels,
)

COARSE = arrays(np.float32, (12, 12), elements=st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0, np.nan]))


def hills(places: list[tuple[float, float]], side: int = 48) -> np.ndarray:
    """Gaussian hills of height 1, whose tops may lie within pixels."""
    rows, columns = np.indices((side, side))
    each = [np.exp(-((rows - r) ** 2 + (columns - c) ** 2) / 8) for r, c in places]
    return np.max(each, axis=0).astype(np.float32)


@given(COARSE, st.floats(1, 4))
def test_peaks_are_the_highest_around_and_lie_apart(scores: np.ndarray, apart: float) -> None:
    at = first_of_equals(peaks_in(scores, apart, 0.25), apart)
    for row, column in at:
        rows, columns = np.indices(scores.shape)
        near = np.hypot(rows - row, columns - column) <= apart
        assert scores[row, column] == np.nanmax(scores[near])
    for one, other in product(at, at):
        assert (one == other).all() or np.linalg.norm(one - other) > apart
    if np.nanmax(scores, initial=0) >= 0.25:
        assert np.nanmax(scores) in scores[tuple(at.T)]


@given(COARSE, st.integers(1, 11), st.floats(1, 3))
def test_a_window_with_enough_around_it_has_the_peaks_of_the_whole(
    scores: np.ndarray, cut: int, apart: float
) -> None:
    whole = {tuple(one) for one in peaks_in(smoothed(scores, 0.5), apart, 0.1).tolist()}
    beyond = int(np.ceil(apart)) + 3
    top = peaks_in(smoothed(scores[: cut + beyond], 0.5), apart, 0.1)
    below = max(0, cut - beyond)
    bottom = peaks_in(smoothed(scores[below:], 0.5), apart, 0.1) + np.array([below, 0])
    parts = [one for one in top.tolist() if one[0] < cut]
    parts += [one for one in bottom.tolist() if one[0] >= cut]
    assert {tuple(one) for one in parts} == whole


@given(st.floats(-0.5, 0.5), st.floats(-0.5, 0.5))
def test_tops_are_found_within_pixels(down: float, right: float) -> None:
    scores = hills([(20 + down, 30 + right)])
    at, values = find_peaks(scores, 3, 0.5)
    assert len(at) == len(values) == 1
    place = at + within_pixels(smoothed(scores, 1), at)
    np.testing.assert_allclose(place, [[20 + down, 30 + right]], atol=0.06)


def test_a_flat_hill_is_one_object_and_what_is_unknown_is_none() -> None:
    scores = np.zeros((20, 20), np.float32)
    scores[5:8, 5:8] = 1
    scores[15, 15], scores[14:17, 14] = 1, np.nan
    at = first_of_equals(peaks_in(scores, 3, 0.5), 3)
    assert at.tolist() == [[5, 5], [15, 15]]
    assert len(find_peaks(np.full((8, 8), np.nan, np.float32), 2, 0.1)[0]) == 0


def test_a_large_flat_hill_takes_no_memory_for_its_pairs() -> None:
    flat = np.full((80, 80), 0.5, np.float32)
    tracemalloc.start()
    at = first_of_equals(peaks_in(flat, 8, 0.1), 8)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 80**2 / (np.pi * 8**2) < len(at) < 2 * 80**2 / 8**2
    assert most < 4e6, "600 000 pairs are near"


SOME = st.lists(st.tuples(st.integers(0, 6), st.booleans()), max_size=8)


@given(SOME, st.integers(1, 10))
def test_the_best_f1_is_that_of_the_best_threshold(found: list, more: int) -> None:
    scores = np.array([score / 6 for score, _ in found])
    right = np.array([hit for _, hit in found], np.bool_)
    true = int(right.sum()) + more
    best, threshold = rank(scores, right, true).best_f1()
    tried = [0.0]
    for least in scores:
        taken = scores >= least
        tried.append(2 * right[taken].sum() / (taken.sum() + true))
    assert best == pytest.approx(max(tried))
    taken = scores >= threshold
    assert 2 * right[taken].sum() / (taken.sum() + true) == pytest.approx(best)


def test_precision_and_recall_go_by_rank() -> None:
    ranked = Ranked(np.array([0.9, 0.8, 0.7]), np.array([True, False, True]), 4)
    precision, recall = ranked.curve()
    np.testing.assert_allclose(precision, [1, 1 / 2, 2 / 3])
    np.testing.assert_allclose(recall, [1 / 4, 1 / 4, 2 / 4])


def test_the_best_score_takes_the_nearest_and_none_is_taken_twice() -> None:
    true = np.array([[0.0, 0], [0, 3]])
    found = np.array([[0.0, 1], [0, 0], [0, 9]])
    for scores, right in (([0.9, 0.8, 0.7], [1, 0, 0]), ([0.1, 0.8, 0.7], [1, 1, 0])):
        assert greedy_matches(found, np.array(scores), true, 2).tolist() == right
    assert not greedy_matches(found, np.zeros(3), np.zeros((0, 2)), 2).any()
