"""Bands that a scene lacks, and that it may lack: they are read as invalid everywhere."""

from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np

from geohier.raster.changed import ChangedReader
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


class BlankedReader(ChangedReader):
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
        super().__init__(reader)
        self._rows = list(rows)
        self._bands = bands
        self._rule = rule

    def changed(self, read: Pixels) -> Pixels:
        """Return the pixels with those of the other bands, which are invalid, among them."""
        shape = (self._bands, *read.values.shape[1:])
        values, valid = np.zeros(shape, self.dtype), np.zeros(shape, np.bool_)
        values[self._rows] = read.values
        valid[self._rows] = read.valid
        merged = valid.all(axis=0, keepdims=True) if self._rule == "all" else valid
        return Pixels(values=values, valid=merged)
