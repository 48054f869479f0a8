"""A small sample of a raster, from which it is told what its values are like."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geohier.errors import RasterReadError
from geohier.geo.window import Window
from geohier.raster.source import PixelReader

PLACES_PER_AXIS = 3
SIDE_PX = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Pixels of a few places.

    Args:
        values: in file units.
        valid: which of them are valid, band by band.
        unread: places that cannot be decoded, and are left out.

    Shape:
        - values, valid: `(C, N)`
    """

    values: NDArray[np.generic]
    valid: NDArray[np.bool_]
    unread: int

    @property
    def valid_pixels(self) -> NDArray[np.generic]:
        """Values of the pixels that are valid in all bands, `(C, N)`."""
        return self.values[:, self.valid.all(axis=0)]


def sample_pixels(reader: PixelReader, bands: int) -> Sample:
    """Read a few places spread over a raster.

    Args:
        reader: chosen bands of a source.
        bands: how many it reads.
    """
    values = [np.zeros((bands, 0), reader.dtype)]
    valid = [np.zeros((bands, 0), np.bool_)]
    unread = 0
    height, width = reader.geobox.shape
    for window in sample_windows(height, width, reader.block_shape):
        try:
            pixels = reader.read(window)
        except RasterReadError:
            unread += 1
            continue
        values.append(pixels.values.reshape(bands, -1))
        valid.append(np.broadcast_to(pixels.valid, pixels.values.shape).reshape(bands, -1))
    return Sample(
        values=np.concatenate(values, axis=1), valid=np.concatenate(valid, axis=1), unread=unread
    )


def sample_windows(height: int, width: int, block_shape: tuple[int, int]) -> list[Window]:
    """Return small windows spread over a raster, each within one block."""
    rows = _starts(height, block_shape[0])
    columns = _starts(width, block_shape[1])
    side = (min(block_shape[0], SIDE_PX), min(block_shape[1], SIDE_PX))
    return [
        Window(row_off=row, col_off=column, height=side[0], width=side[1]).clipped(
            height=height, width=width
        )
        for row in rows
        for column in columns
    ]


def _starts(length: int, block: int) -> list[int]:
    """Starts of some blocks; where one block spans the axis, places within it."""
    unit = block if block < length else min(length, SIDE_PX)
    last = (length - 1) // unit
    places = np.linspace(0, last, PLACES_PER_AXIS + 2)[1:-1].round().astype(int)
    return sorted({int(place) * unit for place in places})
