"""Mean and standard deviation of a raster's bands, from pixels spread evenly over it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Self

import numpy as np
from numpy.typing import NDArray

from geohier.geo.window import Window
from geohier.raster.source import PixelReader

SPOT_PX = 64
SPOTS_PER_AXIS = (16, 64)
"""A million pixels at 256 spots; on rasters that are nodata there, sixteen times as many."""

ENOUGH_PX = 1024
"""Fewer pixels than this say little about a scene."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """Mean and standard deviation of each band over the valid pixels of a sample.

    Shape:
        - mean, std: `(C,)`, in file units
    """

    count: int
    mean: NDArray[np.float64]
    std: NDArray[np.float64]

    @classmethod
    def of(cls, values: NDArray[np.generic]) -> Self:
        """Return the moments of pixels `(C, N)`, N at least 1."""
        exact = values.astype(np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            return cls(count=exact.shape[1], mean=exact.mean(axis=1), std=exact.std(axis=1))

    def __add__(self, other: "Moments") -> "Moments":
        """Return the moments of both samples together (Chan, Golub, LeVeque 1979)."""
        count = self.count + other.count
        with np.errstate(over="ignore", invalid="ignore"):
            apart = other.mean - self.mean
            squares = self.count * self.std**2 + other.count * other.std**2
            squares += apart**2 * self.count * other.count / count
            return Moments(
                count=count,
                mean=self.mean + apart * other.count / count,
                std=np.sqrt(squares / count),
            )

    @property
    def tell(self) -> bool:
        """Whether there are pixels enough, and no band has one value or boundless ones."""
        usable = (self.std > 0) & np.isfinite(self.std)
        return self.count >= ENOUGH_PX and bool(usable.all())


def sample_moments(reader: PixelReader) -> Moments | None:
    """Return the moments of a raster, None where no pixel that was looked at is valid.

    Where is looked depends on the raster's size alone, not on its blocks or files, so that a mosaic
    has the moments of the same raster in one file. Blocks that cannot be decoded are left out.
    """
    found: Moments | None = None
    for spots in SPOTS_PER_AXIS:
        found = _pooled(reader, spots)
        if found is not None and found.tell:
            break
    return found


def moments_of_all(readers: Iterable[PixelReader]) -> Moments | None:
    """Return the moments of several images with the same bands, such as the dates of a stack."""
    found = [one for one in map(sample_moments, readers) if one is not None]
    return reduce(add, found) if found else None


def _pooled(reader: PixelReader, spots: int) -> Moments | None:
    pooled: Moments | None = None
    height, width = reader.geobox.shape
    for window in filter(reader.may_hold_data, _spots(height, width, spots)):
        pixels, _ = reader.read_salvaged(window)
        values = pixels.values[:, pixels.valid.all(axis=0)]
        if values.shape[1]:
            own = Moments.of(values)
            pooled = own if pooled is None else pooled + own
    return pooled


def _spots(height: int, width: int, spots: int) -> Iterator[Window]:
    """Yield windows in even rows and columns; on a small raster they cover it, each pixel once."""
    for row, rows in _places(height, spots):
        for column, columns in _places(width, spots):
            yield Window(row_off=row, col_off=column, height=rows, width=columns)


def _places(length: int, spots: int) -> Iterator[tuple[int, int]]:
    """Yield start and length of the spots along one axis: each in the middle of its share."""
    shares = np.linspace(0, length, min(spots, -(-length // SPOT_PX)) + 1).round().astype(int)
    for start, stop in zip(shares[:-1].tolist(), shares[1:].tolist(), strict=True):
        side = min(SPOT_PX, stop - start)
        yield start + (stop - start - side) // 2, side
