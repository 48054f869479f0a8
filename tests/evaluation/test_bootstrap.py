"""Ranges of scores over spatial blocks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from geohier.errors import ConfigError
from geohier.evaluation.bootstrap import bootstrap, iou_and_mean, paired_difference

Blocks = NDArray[np.int64]


@st.composite
def blocks(draw: st.DrawFn) -> Blocks:
    """Confusion counts of some blocks, of which some hold nothing."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    number, classes = draw(st.integers(1, 12)), draw(st.integers(2, 4))
    counts = rng.integers(0, 50, size=(number, classes, classes))
    counts[1:][rng.random(number - 1) < 0.3] = 0
    return counts


@given(blocks())
def test_the_value_is_the_pooled_score_and_the_range_is_in_order(blocks: Blocks) -> None:
    ranges = bootstrap(blocks, draws=40)
    np.testing.assert_allclose([r.value for r in ranges], iou_and_mean(blocks.sum(axis=0)))
    assert all(0 <= r.low <= r.high <= 1 for r in ranges if not np.isnan(r.value))
    assert not np.isnan(ranges[-1].value)


@given(blocks())
def test_only_blocks_with_labels_count(blocks: Blocks) -> None:
    labelled = int((blocks.sum(axis=(1, 2)) > 0).sum())
    padded = np.concatenate([blocks, np.zeros_like(blocks)])
    assert {r.n for r in bootstrap(padded, draws=2)} == {labelled}
    if labelled == len(blocks):
        assert bootstrap(padded, draws=20) == bootstrap(blocks, draws=20)


@given(blocks())
def test_a_prediction_gains_nothing_over_itself(blocks: Blocks) -> None:
    gains = paired_difference(blocks, blocks, draws=20)
    found = [(gain.value, gain.low, gain.high) for gain in gains if not np.isnan(gain.value)]
    assert found == [(0, 0, 0)] * len(found)
    assert not np.isnan(gains[-1].value)


@given(blocks(), st.integers(0, 9))
def test_swapping_the_two_predictions_turns_the_sign(blocks: Blocks, seed: int) -> None:
    other = np.roll(blocks, 1, axis=-1)
    one_way = paired_difference(blocks, other, draws=30, seed=seed)
    back = paired_difference(other, blocks, draws=30, seed=seed)
    for a, b in zip(one_way, back, strict=True):
        np.testing.assert_allclose([a.value, a.low, a.high], [-b.value, -b.high, -b.low])


def test_equal_seeds_give_equal_ranges_and_other_seeds_do_not() -> None:
    counts = np.random.default_rng(0).integers(0, 50, size=(9, 2, 2))
    assert bootstrap(counts, seed=3) == bootstrap(counts, seed=3)
    assert bootstrap(counts, seed=3) != bootstrap(counts, seed=4)


def test_the_range_holds_the_truth_about_as_often_as_it_says() -> None:
    """Blocks drawn from a known population: 90 % ranges, 200 times, of 60 blocks each."""
    rng = np.random.default_rng(5)
    population = np.stack([_block(right) for right in rng.beta(8, 4, size=20_000)])
    truth = iou_and_mean(population.sum(axis=0))[0]
    samples = [population[rng.integers(len(population), size=60)] for _ in range(200)]
    ranges = [bootstrap(sample, draws=200, level=0.9)[0] for sample in samples]
    held = np.mean([r.low <= truth <= r.high for r in ranges])
    assert 0.84 <= held <= 0.95


def test_a_small_steady_gain_shows_only_when_paired() -> None:
    """Blocks differ much, the gain in each is small: the ranges overlap, the difference is sure."""
    rights = np.random.default_rng(1).uniform(0.2, 0.9, size=40)
    better = np.stack([_block(right + 0.02) for right in rights])
    worse = np.stack([_block(right) for right in rights])
    assert bootstrap(better)[0].low < bootstrap(worse)[0].high
    assert paired_difference(better, worse)[0].low > 0


def test_runs_that_disagree_widen_the_range_of_a_difference() -> None:
    steady = np.stack([_block(0.6)] * 10)
    runs = np.stack([np.stack([_block(right)] * 10) for right in (0.5, 0.6, 0.7)])
    gain = paired_difference(runs, steady[None])[0]
    assert gain.low < 0 < gain.high
    assert gain.n == 10


def test_no_labels_give_no_range() -> None:
    ranges = bootstrap(np.zeros((3, 2, 2), int), draws=5)
    assert all(np.isnan(r.value) and np.isnan(r.low) and r.n == 0 for r in ranges)


def test_a_class_that_is_absent_has_no_range() -> None:
    only_first = np.array([[[5, 1], [0, 0]], [[7, 3], [0, 0]]])
    first, second, mean = bootstrap(only_first, draws=20)
    assert np.isnan([second.value, second.low]).all()
    assert mean == first


@pytest.mark.parametrize(
    ("shape", "options"), [((4, 2, 3), {}), ((4, 2, 2), {"level": 1.0}), ((4, 2, 2), {"draws": 0})]
)
def test_what_cannot_be_drawn_is_refused(shape: tuple[int, ...], options: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        bootstrap(np.ones(shape, int), **options)  # type: ignore[arg-type]


def test_a_difference_needs_the_same_blocks() -> None:
    with pytest.raises(ConfigError, match="same blocks"):
        paired_difference(np.ones((4, 2, 2), int), np.ones((5, 2, 2), int))


def _block(right: float) -> Blocks:
    """A block of 2 x 1000 px of which `right` are right."""
    hits = round(1000 * right)
    return np.array([[hits, 1000 - hits], [1000 - hits, hits]])
