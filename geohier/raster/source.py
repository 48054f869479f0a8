"""What the rest of geohier sees of rasters: a source, and the reader of its pixels.

One raster, several files on one grid, and a mosaic all look the same from here on. A source is
opened once and knows its grid and bands; `select` then fixes which bands are read and how validity
is judged, and gives the reader that hands out pixels.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from geohier.geo.window import Window

type AlphaRule = Literal["auto", "band", "none"]
"""Is the fourth band alpha? `auto`: if tagged so, not read by the model, and mostly 0 or 255."""

type ValidRule = Literal["all", "any"]
"""A pixel is valid if all, or if any, of the bands that are read are valid there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceBand:
    """One band of a source: as its file declares it, or computed from others by a formula.

    A band of a stack of dates also knows when it was `taken`.
    """

    name: str | None
    dtype: str
    nodata: float | None = None
    scale: float = 1.0
    offset: float = 0.0
    tagged_alpha: bool = False
    formula: str | None = None
    taken: date | None = None

    @property
    def identity(self) -> dict[str, object]:
        """What is declared, as JSON has it; numbers as text, since NaN equals nothing."""
        fields = asdict(self) | {"nodata": str(self.nodata)}
        taken = fields.pop("taken")
        return fields if taken is None else fields | {"taken": taken.isoformat()}


def bands_by_date(bands: Iterable[SourceBand]) -> dict[date, tuple[int, ...]]:
    """Return which bands of a stack were taken on which date, the newest first; {} of no stack."""
    found: dict[date, list[int]] = {}
    for at, band in enumerate(bands):
        if band.taken is not None:
            found.setdefault(band.taken, []).append(at)
    return {one: tuple(found[one]) for one in sorted(found, reverse=True)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pixels:
    """Pixels of one window.

    Shape:
        - values: `(C, H, W)`, in the source's own data type and units, nothing filled in
        - valid: `(1, H, W)` where all bands share one mask, else `(C, H, W)`
    """

    values: NDArray[np.generic]
    valid: NDArray[np.bool_]


class PixelReader(Protocol):
    """Hands out the chosen bands of a source, window by window. Safe to use from one thread."""

    geobox: GeoBox
    dtype: np.dtype[np.generic]
    block_shape: tuple[int, int]
    """Rows and columns that are decoded together."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know about how this source is read, one sentence each.

        Pixels of a few places may be decoded for it.
        """

    def read(self, window: Window) -> Pixels:
        """Read a window that lies inside the raster.

        Raises:
            RasterReadError: a block of the window cannot be decoded.
        """

    def read_salvaged(self, window: Window) -> tuple[Pixels, tuple[Window, ...]]:
        """Read a window; blocks that cannot be decoded become invalid and are returned.

        They are returned whole, though they may reach beyond the window.
        """

    def may_hold_data(self, window: Window) -> bool:
        """Return False where it is known, without reading, that no pixel of the window is valid."""


class PixelSource(Protocol):
    """Rasters on one grid, opened and seen as one. A context manager."""

    name: str
    """Short name for messages and results, without folder and suffix."""
    files: tuple[Path, ...]
    """Its rasters, in the order that counts."""
    sidecars: tuple[Path, ...]
    """Files beside them whose pixels are read too: masks (`.msk`)."""
    geobox: GeoBox
    bands: tuple[SourceBand, ...]

    @property
    def identity(self) -> Sequence[Mapping[str, object]]:
        """How the files are read, one after the other, as JSON has it.

        Sources of equal files and equal identity give equal pixels.
        """

    def select(
        self, indexes: Sequence[int], *, valid: ValidRule = "all", alpha: AlphaRule = "auto"
    ) -> PixelReader:
        """Return a reader of these bands (counted from 0), in this order."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...
