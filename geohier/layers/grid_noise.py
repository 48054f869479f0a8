"""Normal deviates that belong to places: whoever asks for a place, whenever, gets the same.

Integers are mixed as in Steele, Lea and Flood 2014, Fast Splittable Pseudorandom Number Generators
(splitmix64), once for each coordinate, and 16 bits of the result choose one of 65536 quantiles of
the normal distribution. That is exact on every machine, and the largest deviate is 4.3.
"""

from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

type Counters = NDArray[np.uint64]

GAMMA = np.array(0x9E3779B97F4A7C15, dtype=np.uint64)
MIXED = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))
QUANTILE_BITS = 16


def grid_noise(
    seed: int, level: int, channels: int, *, row: int, col: int, height: int, width: int
) -> Tensor:
    """Return the deviates of the cells of a level from a place on.

    Args:
        seed: of a draw, from 0 to 2 ** 63 - 1.
        level: number of the level.
        channels: deviates of each cell.
        row: of the first cell, counted from the raster's top.
        col: of the first cell, counted from the raster's left edge.
        height: rows of cells.
        width: columns of cells.

    Shape:
        - returns: `(channels, height, width)`, float32, on the processor

    Example:
        >>> all_of_it = grid_noise(1, 0, 2, row=0, col=0, height=8, width=8)
        >>> a_part = grid_noise(1, 0, 2, row=2, col=5, height=6, width=3)
        >>> bool((all_of_it[:, 2:, 5:] == a_part).all())
        True
    """
    state = np.full((1, 1, 1), seed, dtype=np.uint64)
    axes = ((level, 1, (1, 1, 1)), (0, channels, (-1, 1, 1)))
    for first, count, shape in (*axes, (row, height, (1, -1, 1)), (col, width, (1, 1, -1))):
        numbers = np.arange(first, first + count, dtype=np.uint64).reshape(shape)
        state = _mixed(_mixed(state) ^ numbers)
    chosen = (state >> np.uint64(64 - QUANTILE_BITS)).astype(np.int64)
    found: Tensor = _quantiles()[torch.from_numpy(chosen)]
    return found


def _mixed(numbers: Counters) -> Counters:
    """Return numbers of which each bit depends on all bits of those that were given."""
    mixed = numbers + GAMMA
    for shift, factor in MIXED:
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.array(factor, dtype=np.uint64)
    return mixed ^ (mixed >> np.uint64(31))


@cache
def _quantiles() -> Tensor:
    count = 1 << QUANTILE_BITS
    middles = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    quantiles: Tensor = torch.special.ndtri(middles)
    return quantiles.float()
