"""Scenes whose numbers mean something else than those of the first train scene."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from geohier.data.labelled import LabelledPixels
from geohier.errors import InputError
from geohier.raster.source import SourceBand


def check_units(
    one: LabelledPixels, names: tuple[str, ...], declared: tuple[SourceBand, ...]
) -> None:
    """Check that a scene's bands are scaled as those of the first train scene.

    Sentinel-2 before and after baseline 04.00 differs by an offset that no statistics show.

    Raises:
        InputError: scale or offset of a band differ.
    """
    dates = len(one.choice.by_date())
    bands = list(zip(names * dates, declared * dates, one.declared, strict=True))
    for name, first, own in (bands[at] for at in one.choice.there):
        if (own.scale, own.offset) != (first.scale, first.offset):
            raise InputError(
                f"{one.scene.image}: band {name} has scale {own.scale:g} and offset "
                f"{own.offset:g}, in the first train scene {first.scale:g} and {first.offset:g}: "
                "convert it to the same units, or exclude the scene"
            )


def _differs(one: LabelledPixels, declared: tuple[SourceBand, ...]) -> bool:
    """Return whether some band has another data type than the first train scene declares."""
    dates = len(one.choice.by_date())
    bands = zip(declared * dates, one.declared, strict=True)
    return any(first.dtype != own.dtype for first, own in bands)


def check_sampled_range(
    one: LabelledPixels, names: tuple[str, ...], declared: tuple[SourceBand, ...]
) -> None:
    """Check a scene as `check_range` does, by a sample; one of the same type needs none.

    Raises:
        InputError: a band holds what it could not hold in the first train scene.
    """
    if not _differs(one, declared):
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
    bands = zip(names, declared, one.declared[: len(names)], ends, strict=True)
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
