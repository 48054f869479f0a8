"""Bands that are computed from other bands of a source, while it is read.

A formula sees physical values: those of the files, times their scale plus their offset. Each pixel
is computed by itself, on the source's grid, so files of other grids are resampled before. A pixel
is valid where all bands are that the formula names. Where it has no value all the same (0 / 0, the
root of a negative number), the band is 0 and the pixel stays valid: an index makes no holes in a
map, and says in a note how often that is so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from geohier.geo.formula import Formula
from geohier.raster.changed import ChangedReader
from geohier.raster.sample import sample_pixels
from geohier.raster.source import AlphaRule, PixelReader, Pixels, PixelSource, SourceBand, ValidRule

PIECE_PX = 1 << 16
"""Pixels that are computed at once, in float64: as many as a processor's cache holds."""
NO_VALUE = 0.0
"""What a band is where its formula has no finite value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DerivedBand:
    """A band that is computed from others.

    Args:
        name: its name.
        formula: how it is computed.
        inputs: index (from 0) in the source of each band that the formula names.
    """

    name: str
    formula: Formula
    inputs: tuple[int, ...]


def computed_band(name: str, formula: str) -> SourceBand:
    """Return what a source says of a band that is computed."""
    return SourceBand(name=name, dtype="float32", formula=formula)


class DerivedSource:
    """A source with computed bands behind its own (a `PixelSource`)."""

    def __init__(self, source: PixelSource, derived: tuple[DerivedBand, ...]) -> None:
        self.source = source
        self.derived = derived
        self.name = source.name
        self.files = source.files
        self.sidecars = source.sidecars
        self.geobox = source.geobox
        self.bands: tuple[SourceBand, ...] = (
            *source.bands,
            *(computed_band(band.name, band.formula.text) for band in derived),
        )

    @property
    def identity(self) -> tuple[Mapping[str, object], ...]:
        """How the files are read and what is computed of them, as JSON has it."""
        computed = [
            {"name": one.name, "formula": one.formula.text, "of": [at + 1 for at in one.inputs]}
            for one in self.derived
        ]
        return (*self.source.identity, {"computed": computed})

    def select(
        self, indexes: Sequence[int], *, valid: ValidRule = "all", alpha: AlphaRule = "auto"
    ) -> PixelReader:
        """Return a reader of these bands (counted from 0), in this order."""
        own = len(self.source.bands)
        chosen = [at if at < own else self.derived[at - own] for at in indexes]
        computed = [one for one in chosen if isinstance(one, DerivedBand)]
        stored = (at for at in chosen if isinstance(at, int))
        needed = list(dict.fromkeys([*stored, *(at for one in computed for at in one.inputs)]))
        reader = self.source.select(needed, valid=valid, alpha=alpha)
        if not computed:
            return reader
        return DerivedReader(reader, self.source.bands, needed, chosen)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.source.__exit__(*error)


class DerivedReader(ChangedReader):
    """Reads bands of a source and computes others of them (a `PixelReader`).

    Args:
        reader: of the bands that are read or named in a formula.
        bands: all bands of the source.
        needed: which of them the reader reads, in its order.
        chosen: what is handed out: indexes in the source, and computed bands.
    """

    def __init__(
        self,
        reader: PixelReader,
        bands: Sequence[SourceBand],
        needed: Sequence[int],
        chosen: Sequence[int | DerivedBand],
    ) -> None:
        rows = {at: row for row, at in enumerate(needed)}
        super().__init__(reader)
        self._units = [(bands[at].scale, bands[at].offset) for at in needed]
        self._chosen = [
            rows[one]
            if isinstance(one, int)
            else _Computation(one, [rows[at] for at in one.inputs])
            for one in chosen
        ]
        self.dtype = np.result_type(
            np.float32, *(np.promote_types(bands[at].dtype, np.float32) for at in needed)
        )

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """What a user should know about how the bands are read and computed."""
        return (*self._reader.notes, *self._without_value())

    def changed(self, read: Pixels) -> Pixels:
        """Return the bands that are handed out, those that are computed among them."""
        values = np.empty((len(self._chosen), *read.values.shape[1:]), self.dtype)
        for into, one in zip(values, self._chosen, strict=True):
            if isinstance(one, int):
                into[...] = read.values[one]
            else:
                one.compute(read.values, self._units, into)
                np.nan_to_num(into, copy=False, nan=NO_VALUE, posinf=NO_VALUE, neginf=NO_VALUE)
        return Pixels(values=values, valid=self._valid(read.valid))

    def _valid(self, valid: NDArray[np.bool_]) -> NDArray[np.bool_]:
        if len(valid) == 1:
            return valid
        return np.stack(
            [valid[one] if isinstance(one, int) else one.valid(valid) for one in self._chosen]
        )

    def _without_value(self) -> list[str]:
        """Return a note on each computed band that lacks a value in a sample of valid pixels."""
        pixels = sample_pixels(self._reader, len(self._units)).valid_pixels
        into = np.empty(pixels.shape[1], self.dtype)
        notes = []
        for one in self._chosen:
            if isinstance(one, int):
                continue
            one.compute(pixels, self._units, into)
            missing = np.count_nonzero(~np.isfinite(into))
            if missing:
                notes.append(
                    f"{one.band.name} has no value in about {max(missing / into.size, 0.001):.1%} "
                    f"of the pixels (division by 0, or the like): it counts as {NO_VALUE:g} there"
                )
        return notes


@dataclass(frozen=True, slots=True)
class _Computation:
    """A computed band, and the rows of an array in which its inputs stand."""

    band: DerivedBand
    rows: list[int]

    def compute(
        self,
        values: NDArray[np.generic],
        units: Sequence[tuple[float, float]],
        into: NDArray[np.generic],
    ) -> None:
        """Compute from values `(C, ...)` into `(...)`; not finite where there is no value."""
        bands = [values[row].reshape(-1) for row in self.rows]
        out = into.reshape(-1)
        for start in range(0, out.size, PIECE_PX):
            piece = slice(start, start + PIECE_PX)
            physical = [
                _physical(band[piece], *units[row])
                for band, row in zip(bands, self.rows, strict=True)
            ]
            with np.errstate(over="ignore"):
                out[piece] = self.band.formula.compute(physical)

    def valid(self, valid: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return `(H, W)`: where all inputs are valid."""
        both: NDArray[np.bool_] = valid[self.rows].all(axis=0)
        return both


def _physical(values: NDArray[np.generic], scale: float, offset: float) -> NDArray[np.float64]:
    exact = values.astype(np.float64)
    if (scale, offset) != (1.0, 0.0):
        exact *= scale
        exact += offset
    return exact
