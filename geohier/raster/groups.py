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

from geohier.geo.window import Window
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


class GroupedReader:
    """Reads bands of which groups are valid or not by themselves (a `PixelReader`).

    Args:
        reader: of the bands, whose masks are apart (`valid="any"`).
        groups: of which each band is in exactly one.
    """

    def __init__(self, reader: PixelReader, groups: Sequence[BandGroup]) -> None:
        self._reader = reader
        self._groups = groups
        self.geobox = reader.geobox
        self.dtype = reader.dtype
        self.block_shape = reader.block_shape

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know about how the bands are read."""
        return self._reader.notes

    def read(self, window: Window) -> Pixels:
        """Read a window that lies inside the raster.

        Raises:
            RasterReadError: a block of the window cannot be decoded.
        """
        return self._grouped(self._reader.read(window))

    def read_salvaged(self, window: Window) -> tuple[Pixels, tuple[Window, ...]]:
        """Read a window; blocks that cannot be decoded become invalid, and are returned whole."""
        pixels, lost = self._reader.read_salvaged(window)
        return self._grouped(pixels), lost

    def may_hold_data(self, window: Window) -> bool:
        """Return False where no pixel of the window can be valid."""
        return self._reader.may_hold_data(window)

    def _grouped(self, read: Pixels) -> Pixels:
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
