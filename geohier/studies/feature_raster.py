"""A raster whose bands are taken as features: which ones, and how they are standardised."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from geohier.errors import ConfigError, InputError
from geohier.geo.bands import Band, BandSet, canonical
from geohier.raster.moments import sample_moments
from geohier.raster.reader import band_looks_like_alpha
from geohier.raster.source import PixelReader, PixelSource

MOST_NAMES = 12
"""Bands that are named one by one in a message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureRaster:
    """Bands of a raster as features, whose mean is 0 and whose deviation is 1 over the raster.

    Args:
        source: the raster.
        indexes: bands that are features, from 0.
        reader: reads them.
        bands: their names and statistics.
        notes: what a user should know about them.
    """

    source: PixelSource
    indexes: tuple[int, ...]
    reader: PixelReader
    bands: BandSet
    notes: tuple[str, ...]

    @classmethod
    def of(cls, source: PixelSource, wanted: Sequence[str] | None = None) -> Self:
        """Take all bands of a raster but alpha as features, or those that are asked for.

        Args:
            source: the raster.
            wanted: bands by name or number from 1.

        Raises:
            ConfigError: a band is asked for that is not there, or twice.
            InputError: no pixel of the raster is valid.
        """
        indexes = _all_but_alpha(source) if wanted is None else _asked_for(source, wanted)
        reader = source.select(indexes)
        moments = sample_moments(reader)
        if moments is None:
            raise InputError(f"{source.name} has no valid pixel in these bands: see inspect")
        flat = ~(np.isfinite(moments.std) & (moments.std > 0))
        bands = _bands(source, indexes, moments.mean, np.where(flat, 1.0, moments.std))
        constant = [band.name for band, same in zip(bands, flat, strict=True) if same]
        notes = (f"bands of one value tell nothing: {' '.join(constant)}",) if constant else ()
        return cls(
            source=source,
            indexes=indexes,
            reader=reader,
            bands=bands,
            notes=(*reader.notes, *notes),
        )

    @property
    def numbers(self) -> tuple[str, ...]:
        """The bands as `--bands` names them: numbers from 1."""
        return tuple(str(at + 1) for at in self.indexes)

    def standardised(self, values: NDArray[np.generic]) -> NDArray[np.float32]:
        """Return features `(N, C)`, float32, of values `(C, N)` in file units.

        The arithmetic is that of a prediction: what is fitted here fits there.
        """
        mean = np.array([band.mean for band in self.bands])
        std = np.array([band.std for band in self.bands])
        gain, shift = (1 / std).astype(np.float32), (-mean / std).astype(np.float32)
        return np.asarray(values.T.astype(np.float32) * gain + shift)


def _all_but_alpha(source: PixelSource) -> tuple[int, ...]:
    found = tuple(
        at
        for at, band in enumerate(source.bands)
        if not (band.tagged_alpha and band_looks_like_alpha(source, at))
    )
    return found or tuple(range(len(source.bands)))


def _asked_for(source: PixelSource, wanted: Sequence[str]) -> tuple[int, ...]:
    names = [canonical(band.name) if band.name else "" for band in source.bands]
    numbers = [str(at + 1) for at in range(len(names))]
    found = []
    for band in wanted:
        places = numbers if band in numbers else names
        key = band if band in numbers else canonical(band)
        if not key or key not in places:
            there = [one.name or n for one, n in zip(source.bands, numbers, strict=True)]
            raise ConfigError(f"no band {band!r} in {source.name}, which has {_in_short(there)}")
        found.append(places.index(key))
    if len(set(found)) < len(found):
        raise ConfigError(f"--bands {','.join(wanted)} names a band twice: name each once")
    return tuple(found)


def _in_short(names: Sequence[str]) -> str:
    if len(names) <= MOST_NAMES:
        return " ".join(names)
    return f"{len(names)}: {names[0]} {names[1]} ... {names[-1]}, or 1 to {len(names)}"


def _bands(
    source: PixelSource,
    indexes: Sequence[int],
    mean: NDArray[np.float64],
    std: NDArray[np.float64],
) -> BandSet:
    declared = [source.bands[at] for at in indexes]
    names = [band.name or f"band_{at + 1}" for at, band in zip(indexes, declared, strict=True)]
    if len({canonical(name) for name in names}) < len(names):
        names = [f"band_{at + 1}" for at in indexes]
    return BandSet(
        tuple(
            Band(
                name=name,
                dtype=band.dtype,
                mean=float(mean[at]),
                std=float(std[at]),
                scale=band.scale,
                offset=band.offset,
                nodata=band.nodata,
            )
            for at, (name, band) in enumerate(zip(names, declared, strict=True))
        )
    )
