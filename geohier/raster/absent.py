"""Bands that a scene lacks, and that it may lack: they are read as invalid everywhere."""

from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np

from geohier.geo.window import Window
from geohier.raster.source import AlphaRule, PixelReader, Pixels, PixelSource, SourceBand, ValidRule


class BlankedSource:
    """A source with bands behind its own that hold nothing (a `PixelSource`).

    Args:
        source: what is there.
        names: of the bands that are not.
    """

    def __init__(self, source: PixelSource, names: Sequence[str]) -> None:
        self.source = source
        self.name = source.name
        self.files = source.files
        self.sidecars = source.sidecars
        self.geobox = source.geobox
        self.bands: tuple[SourceBand, ...] = (
            *source.bands,
            *(SourceBand(name=name, dtype="uint8", nodata=0) for name in names),
        )

    @property
    def identity(self) -> tuple[Mapping[str, object], ...]:
        """How the files are read and what they lack, as JSON has it."""
        lacking = [band.name for band in self.bands[len(self.source.bands) :]]
        return (*self.source.identity, {"absent": lacking})

    def select(
        self, indexes: Sequence[int], *, valid: ValidRule = "all", alpha: AlphaRule = "auto"
    ) -> "BlankedReader":
        """Return a reader of these bands (counted from 0), in this order."""
        there = len(self.source.bands)
        rows = [row for row, at in enumerate(indexes) if at < there]
        reader = self.source.select([indexes[row] for row in rows], valid="any", alpha=alpha)
        return BlankedReader(reader, rows, len(indexes), valid)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.source.__exit__(*error)


class BlankedReader:
    """Reads bands that are there, and nothing of the others (a `PixelReader`).

    Args:
        reader: of the bands that are there, whose masks are apart.
        rows: where these stand among all.
        bands: how many there are to be.
        rule: how masks are merged.
    """

    def __init__(
        self, reader: PixelReader, rows: Sequence[int], bands: int, rule: ValidRule
    ) -> None:
        self._reader = reader
        self._rows = list(rows)
        self._bands = bands
        self._rule = rule
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
        return self._filled_up(self._reader.read(window))

    def read_salvaged(self, window: Window) -> tuple[Pixels, tuple[Window, ...]]:
        """Read a window; blocks that cannot be decoded become invalid, and are returned whole."""
        pixels, lost = self._reader.read_salvaged(window)
        return self._filled_up(pixels), lost

    def may_hold_data(self, window: Window) -> bool:
        """Return False where no pixel of the window can be valid."""
        return self._reader.may_hold_data(window)

    def _filled_up(self, read: Pixels) -> Pixels:
        shape = (self._bands, *read.values.shape[1:])
        values, valid = np.zeros(shape, self.dtype), np.zeros(shape, np.bool_)
        values[self._rows] = read.values
        valid[self._rows] = read.valid
        merged = valid.all(axis=0, keepdims=True) if self._rule == "all" else valid
        return Pixels(values=values, valid=merged)
