"""How far a score could be off: ranges from drawing spatial blocks anew.

Neighbouring pixels are alike, so pixels are no independent samples. Square blocks of the ground
nearly are, if they are wider than the objects: they are drawn with replacement, whole. This is the
percentile bootstrap (Efron 1979, Bootstrap methods: another look at the jackknife, Annals of
Statistics 7) of spatial blocks (Hall 1985, Resampling a coverage pattern, Stochastic Processes and
their Applications 20).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geohier.errors import ConfigError
from geohier.evaluation.segmentation import class_scores, macro

BLOCK_PX = 512
"""Side of a block, in pixels."""

DRAWS_AT_ONCE = 64
"""Draws that are weighed together: bounds the memory at 64 numbers per block."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """A value and the range it could have had on other ground.

    Args:
        value: the score itself, of all blocks.
        low: lower end of the range; NaN where the value has none.
        high: upper end of the range.
        n: blocks with labels, of which each draw takes as many.
    """

    value: float
    low: float
    high: float
    n: int


def iou_and_mean(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return IoU of each class, then their mean: `(..., K + 1)` of counts `(..., K, K)`."""
    iou = class_scores(counts)["iou"]
    return np.concatenate([iou, macro(iou)[..., None]], axis=-1)


def bootstrap(
    blocks: NDArray[np.integer], *, draws: int = 1000, seed: int = 0, level: float = 0.95
) -> tuple[Range, ...]:
    """Range of the IoU of each class, and last of their mean, by drawing blocks with replacement.

    Args:
        blocks: confusion counts of each block, `(N, K, K)`; blocks without labels do not count.
        draws: how many times all blocks are drawn.
        seed: seed of the draws; equal seeds give equal ranges.
        level: share of the draws that the range holds (percentile bootstrap).

    Raises:
        ConfigError: the level is not between 0 and 1, or there are no draws.
    """
    runs = _runs(blocks)
    runs = runs[:, _labelled(runs)]
    drawn = [_resampled(runs, weights, None) for weights in _draws(runs, draws, seed)]
    return _ranges(_mean_score(runs), drawn, runs.shape[1], level)


def paired_difference(
    first: NDArray[np.integer],
    second: NDArray[np.integer],
    *,
    draws: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> tuple[Range, ...]:
    """Range of what the first prediction gains in IoU over the second, on the same blocks.

    Each draw takes the same blocks for both. Where a model was trained several times, scores are
    means over its runs, and each draw takes runs with replacement too; with few runs this range is
    still too narrow, by about sqrt(1 - 1 / runs) in the part that comes from training.

    Args:
        first: confusion counts of each block, `(N, K, K)`, or of several runs, `(R, N, K, K)`.
        second: the same blocks, of the other prediction; it may have another number of runs.
        draws: how many times blocks and runs are drawn.
        seed: seed of the draws.
        level: share of the draws that the range holds.

    Returns:
        A range for each class, and last for their mean. One that leaves out 0 is a difference.

    Raises:
        ConfigError: the two do not have the same blocks and classes.
    """
    one, other = _runs(first), _runs(second)
    if one.shape[1:] != other.shape[1:]:
        raise ConfigError(
            f"a paired difference needs the same blocks and classes, found {one.shape[1:]} and "
            f"{other.shape[1:]}"
        )
    kept = _labelled(one) | _labelled(other)
    one, other = one[:, kept], other[:, kept]
    pick = np.random.default_rng([seed, 1])
    drawn = [
        _resampled(one, weights, pick) - _resampled(other, weights, pick)
        for weights in _draws(one, draws, seed)
    ]
    return _ranges(_mean_score(one) - _mean_score(other), drawn, one.shape[1], level)


def _runs(blocks: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return counts as `(R, N, K, K)`; float64 holds pixel counts exactly and multiplies fast."""
    counts = np.asarray(blocks, np.float64)
    if counts.ndim not in (3, 4) or counts.shape[-1] != counts.shape[-2]:
        raise ConfigError(f"blocks are counted as (N, K, K) or (R, N, K, K), found {counts.shape}")
    return counts if counts.ndim == 4 else counts[None]


def _labelled(runs: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which blocks hold labels in any run."""
    return runs.sum(axis=(0, 2, 3)) > 0


def _draws(runs: NDArray[np.float64], draws: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """Yield how often each block is drawn, `(D, N)`, for all draws in turn."""
    if draws < 1:
        raise ConfigError(f"a range needs one draw or more, found {draws}")
    rng, blocks = np.random.default_rng(seed), runs.shape[1]
    if not blocks:  # nothing to draw: every draw is empty
        yield np.zeros((draws, 0))
        return
    shares = np.full(blocks, 1 / blocks)
    for start in range(0, draws, DRAWS_AT_ONCE):
        size = min(DRAWS_AT_ONCE, draws - start)
        yield rng.multinomial(blocks, shares, size=size).astype(np.float64)


def _resampled(
    runs: NDArray[np.float64], weights: NDArray[np.float64], pick: np.random.Generator | None
) -> NDArray[np.float64]:
    """Score each draw, `(D, K + 1)`: means over runs, drawn by `pick` where there are several."""
    scores = np.stack([iou_and_mean(np.tensordot(weights, run, axes=1)) for run in runs])
    if pick is None or len(runs) == 1:
        return np.asarray(scores.mean(axis=0))
    chosen = pick.integers(len(runs), size=(len(runs), len(weights)))
    return np.asarray(scores[chosen, np.arange(len(weights))].mean(axis=0))


def _mean_score(runs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over runs of the scores of all blocks, `(K + 1,)`."""
    return np.asarray(iou_and_mean(runs.sum(axis=1)).mean(axis=0))


def _ranges(
    values: NDArray[np.float64], drawn: list[NDArray[np.float64]], n: int, level: float
) -> tuple[Range, ...]:
    """Take percentiles of the draws in which a score exists."""
    if not 0 < level < 1:
        raise ConfigError(f"the level of a range lies between 0 and 1, found {level}")
    tails = ((1 - level) / 2, (1 + level) / 2)
    ranges = []
    for value, column in zip(values, np.concatenate(drawn).T, strict=True):
        scored = column[~np.isnan(column)]
        known = scored.size > 0 and not np.isnan(value)
        low, high = np.quantile(scored, tails) if known else (np.nan, np.nan)
        ranges.append(Range(value=float(value), low=float(low), high=float(high), n=n))
    return tuple(ranges)
