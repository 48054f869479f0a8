"""Fewer labels on purpose: to learn how many a model needs."""

from collections.abc import Mapping, Sequence

import numpy as np

from geohier.geo.window import Window


def keep_share(
    parts: Mapping[str, Sequence[Window]], *, share: float, seed: int
) -> dict[str, tuple[Window, ...]]:
    """Keep a share of the area of the labelled parts, drawn without regard to the scene.

    What a smaller share keeps, a larger one of the same seed keeps too, so that scores against the
    share differ by the labels that were added alone.

    Args:
        parts: the parts of each scene.
        share: share of their area to keep; parts are kept whole, as many as it takes.
        seed: decides which.
    """
    every = [(name, at) for name in sorted(parts) for at in range(len(parts[name]))]
    order = [every[at] for at in np.random.default_rng(seed).permutation(len(every))]
    areas = np.cumsum([parts[name][at].height * parts[name][at].width for name, at in order])
    count = 1 + int(np.searchsorted(areas, share * areas[-1]))
    kept = set(order[:count])
    return {
        name: tuple(part for at, part in enumerate(some) if (name, at) in kept)
        for name, some in parts.items()
    }
