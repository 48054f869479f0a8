"""Bands in groups, each with a validity of its own: dates of a stack, a sensor that may miss.

Within a group all bands are valid or none is. A pixel is valid where every group is that may not
miss, and at least one group is. What a group has not seen stays marked, band by band, so that it is
exactly 0 once the image is normalised: networks need no further tensor to tell.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from geohier.raster.changed import ChangedReader
from geohier.raster.source import PixelReader, Pixels


@dataclass(frozen=True, slots=True, kw_only=True)
class BandGroup:
    """Bands of an image that are valid together.

    Args:
        places: where they stand in the image, from 0.
        may_miss: whether a pixel can be valid without them.
        taken: when they were taken, in a stack of dates.
    """

    places: tuple[int, ...]
    may_miss: bool
    taken: date | None = None


class GroupedReader(ChangedReader):
    """Reads bands of which groups are valid or not by themselves (a `PixelReader`).

    Args:
        reader: of the bands, whose masks are apart (`valid="any"`).
        groups: of which each band is in exactly one.
    """

    def __init__(self, reader: PixelReader, groups: Sequence[BandGroup]) -> None:
        super().__init__(reader)
        self._groups = groups

    def changed(self, read: Pixels) -> Pixels:
        """Return the pixels with the mask of its group for each band."""
        if len(read.valid) == 1:  # one mask for all bands
            return read
        seen = seen_by(self._groups, read)
        needed = [at for at, group in enumerate(self._groups) if not group.may_miss]
        if needed:
            seen &= seen[needed].all(axis=0)
        valid = np.empty(read.values.shape, np.bool_)
        for group, mask in zip(self._groups, seen, strict=True):
            valid[list(group.places)] = mask
        return Pixels(values=read.values, valid=valid)


def seen_by(groups: Sequence[BandGroup], pixels: Pixels) -> NDArray[np.bool_]:
    """Return where all bands of each group are valid, `(G, H, W)`."""
    valid = np.broadcast_to(pixels.valid, pixels.values.shape)
    return np.stack([valid[list(group.places)].all(axis=0) for group in groups])
