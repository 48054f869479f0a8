"""Values that a data type cannot hold: 16-bit scenes among 8-bit ones."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from geohier.data.labelled import LabelledPixels
from geohier.errors import InputError
from geohier.raster.source import SourceBand


def differs(one: LabelledPixels, declared: Sequence[SourceBand]) -> bool:
    """Return whether some band has another data type than the first train scene declares."""
    return any(first.dtype != own.dtype for first, own in zip(declared, one.declared, strict=True))


def check_sampled_range(
    one: LabelledPixels, names: Sequence[str], declared: Sequence[SourceBand]
) -> None:
    """Check a scene as `check_range` does, by a sample; one of the same type needs none.

    Raises:
        InputError: a band holds what it could not hold in the first train scene.
    """
    if not differs(one, declared):
        return
    pixels = one.sample()
    if pixels.shape[1]:
        check_range(one, names, declared, pixels.min(axis=1), pixels.max(axis=1))


def check_range(
    one: LabelledPixels,
    names: Sequence[str],
    declared: Sequence[SourceBand],
    low: ArrayLike,
    high: ArrayLike,
) -> None:
    """Check that a scene's values would fit the data types of the first train scene.

    Args:
        one: the scene.
        names: the bands.
        declared: as the first train scene has them.
        low: the smallest values of the scene's bands, `(C,)`.
        high: the largest ones, `(C,)`.

    Raises:
        InputError: a band holds what it could not hold there.
    """
    ends = zip(np.asarray(low), np.asarray(high), strict=True)
    bands = zip(names, declared, one.declared, ends, strict=True)
    for name, first, own, (least, most) in bands:
        if first.dtype == own.dtype or np.dtype(first.dtype).kind not in "iu":
            continue
        limits = np.iinfo(first.dtype)
        if least < limits.min or most > limits.max:
            raise InputError(
                f"{one.scene.image}: band {name} is {own.dtype} with values from {least:g} to "
                f"{most:g}, in the first train scene it is {first.dtype}: convert it to the same "
                "units, or exclude the scene"
            )
