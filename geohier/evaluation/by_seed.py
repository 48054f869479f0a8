"""What several seeds of a training say of two variants: differences seed by seed, and their range.

A seed shares out the choose blocks and the first weights, so scores of one seed are taken as a
pair. The range of their mean difference is Student's (1908, The probable error of a mean,
Biometrika): mean +- t * s / sqrt(n), with the n differences' standard deviation s and n - 1 degrees
of freedom. It tells what other seeds would give, not what other ground would.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import stats

from geohier.errors import ConfigError

LEVEL = 0.95
"""How sure a range is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedDifference:
    """What a variant gains over another.

    Args:
        each: the difference of each seed that both have.
        mean: their mean.
        low: lower end of its range; None of a single seed, which has none.
        high: upper end of its range.
    """

    each: Mapping[int, float]
    mean: float
    low: float | None
    high: float | None


def difference_by_seed(
    first: Mapping[int, float], second: Mapping[int, float], *, level: float = LEVEL
) -> SeedDifference | None:
    """Return what the first gains over the second in seeds that both have; None if there is none.

    Args:
        first: score of each seed.
        second: score of each seed of what it is compared with.
        level: how sure the range is.

    Raises:
        ConfigError: the level is not between 0 and 1.

    Example:
        >>> found = difference_by_seed({0: 0.6, 1: 0.8}, {0: 0.5, 1: 0.6})
        >>> round(found.mean, 3), round(found.low, 3), round(found.high, 3)
        (0.15, -0.485, 0.785)
    """
    if not 0 < level < 1:
        raise ConfigError(f"the level of a range lies between 0 and 1, found {level}")
    each = {seed: first[seed] - second[seed] for seed in sorted(first.keys() & second.keys())}
    if not each:
        return None
    values = np.array(list(each.values()))
    mean = float(values.mean())
    if len(values) == 1:
        return SeedDifference(each=each, mean=mean, low=None, high=None)
    error = float(values.std(ddof=1)) / len(values) ** 0.5
    reach = float(stats.t.ppf((1 + level) / 2, len(values) - 1)) * error
    return SeedDifference(each=each, mean=mean, low=mean - reach, high=mean + reach)
