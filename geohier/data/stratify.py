"""Sharing out blocks so that each part has its share of every class."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from geohier.errors import ConfigError

UNLABELLED = -1
"""Part of a block that holds no label."""


def stratified_parts(
    amounts: NDArray[np.int64], shares: Sequence[float], *, seed: int
) -> NDArray[np.int64]:
    """Return the part that each block goes to, so that parts have their share of every class.

    Iterative stratification (Sechidis, Tsoumakas and Vlahavas 2011, On the stratification of
    multi-label data), with pixels in place of examples: the class of which the fewest pixels are
    left is shared out first, its large blocks before its small ones, each to the part that lacks
    most of it. No part stays empty.

    Args:
        amounts: labelled pixels of each class in each block, `(N, K)`.
        shares: share of the whole that each part should have, which sum to 1.
        seed: decides between parts, and between blocks of about one size.

    Returns:
        The number of each block's part, `UNLABELLED` where it holds no label.

    Raises:
        ConfigError: fewer blocks hold labels than there are parts.

    Example:
        >>> blocks = np.array([[9, 0], [9, 0], [0, 4], [0, 4]])
        >>> parts = stratified_parts(blocks, (0.5, 0.5), seed=0)
        >>> sorted(parts[:2].tolist()), sorted(parts[2:].tolist())
        ([0, 1], [0, 1])
    """
    labelled = np.flatnonzero(amounts.any(axis=1))
    if len(labelled) < len(shares):
        raise ConfigError(
            f"{len(labelled)} blocks hold labels, but {len(shares)} parts are wanted: lower the "
            "side of the blocks (--block-px), or ask for fewer parts"
        )
    rng = np.random.default_rng(seed)
    lacking = np.outer(shares, amounts.sum(axis=0))
    parts = np.full(len(amounts), UNLABELLED)
    left = rng.permutation(labelled)
    while left.size:
        rarest = _rarest(amounts[left])
        holding = left[amounts[left, rarest] > 0]
        magnitude = np.log2(amounts[holding, rarest]).astype(int)
        for block in holding[np.argsort(-magnitude, kind="stable")]:
            part = _neediest(lacking, rarest, rng)
            parts[block] = part
            lacking[part] -= amounts[block]
        left = left[parts[left] == UNLABELLED]
    _fill_empty(parts, amounts, len(shares))
    return parts


def _rarest(amounts: NDArray[np.int64]) -> int:
    """Return the class of which the fewest pixels are there, but some."""
    total = amounts.sum(axis=0)
    return int(np.flatnonzero(total > 0)[np.argmin(total[total > 0])])


def _neediest(lacking: NDArray[np.float64], of_class: int, rng: np.random.Generator) -> int:
    """Return the part that lacks most of a class; among equals, most of all classes."""
    order = np.lexsort((rng.random(len(lacking)), lacking.sum(axis=1), lacking[:, of_class]))
    return int(order[-1])


def _fill_empty(parts: NDArray[np.int64], amounts: NDArray[np.int64], count: int) -> None:
    """Give each empty part the smallest block of the part that has most blocks."""
    for part in range(count):
        if (parts == part).any():
            continue
        sizes = np.bincount(parts[parts >= 0], minlength=count)
        giving = np.flatnonzero(parts == sizes.argmax())
        parts[giving[np.argmin(amounts[giving].sum(axis=1))]] = part
