"""How bands and classes become red, green and blue."""

import numpy as np
from numpy.typing import NDArray


def rgb_bands(names: list[str]) -> list[int]:
    """Return the bands to show, of canonical names: by name, the first three, or the first."""
    if {"red", "green", "blue"} <= set(names):
        return [names.index(color) for color in ("red", "green", "blue")]
    return [0, 1, 2] if len(names) >= 3 else [0]


def stretched(band: NDArray[np.float64], valid: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return a band between its 2nd and 98th percentile, as shares from 0 to 1."""
    if not valid.any():
        return np.zeros(band.shape)
    low, high = np.percentile(band[valid], [2, 98])
    return np.asarray(np.clip(np.nan_to_num(band - low) / max(high - low, 1e-9), 0, 1))


def rgb_of(color: str) -> tuple[float, float, float]:
    """Return `#rrggbb` as shares from 0 to 1."""
    red, green, blue = (int(color[at : at + 2], 16) / 255 for at in (1, 3, 5))
    return red, green, blue
