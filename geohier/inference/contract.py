"""The contract between a model and a scene: the same bands, units and ground sample distance.

A model that reads other bands, other units or another scale than it was trained on still gives an
answer, and the answer is wrong. So the scene is compared with the card before any work is done.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from geohier.errors import BandMismatchError, ModelError
from geohier.geo.bands import Band, canonical, match_bands
from geohier.geo.gsd import gsd_m, span_of_m
from geohier.models.card import ModelCard
from geohier.raster.sample import sample_pixels
from geohier.raster.source import PixelReader, PixelSource, SourceBand

LARGEST_RANGE_FACTOR = 10
LARGEST_GSD_FACTOR = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class BandMatch:
    """Which bands of a scene the model reads: indexes from 0, in the model's order."""

    indexes: tuple[int, ...]
    found: tuple[str, ...]
    by_name: bool

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know about it."""
        if self.by_name:
            return ()
        return (f"bands are taken by their order: {' '.join(self.found)}",)


def match_scene(
    source: PixelSource, card: ModelCard, bands: Sequence[str] | None = None
) -> BandMatch:
    """Find the scene's bands for a model: as asked for, else by name, else in their order.

    Args:
        source: the scene.
        card: the model's.
        bands: the scene's bands in the model's order, each a name or a number from 1.

    Raises:
        BandMismatchError: bands are missing or too many.
    """
    names = tuple(band.name for band in source.bands)
    if bands is None:
        readable = tuple(None if b.tagged_alpha and not b.name else b.name for b in source.bands)
        extra_alpha = len(readable) == len(card.bands) + 1 and source.bands[-1].tagged_alpha
        indexes, by_name = match_bands(card.bands.names, readable[:-1] if extra_alpha else readable)
    else:
        indexes, by_name = _asked_for(names, card, bands), True
    found = tuple(names[at] or f"band {at + 1}" for at in indexes)
    return BandMatch(indexes=indexes, found=found, by_name=by_name)


def _asked_for(
    names: Sequence[str | None], card: ModelCard, bands: Sequence[str]
) -> tuple[int, ...]:
    if len(bands) != len(card.bands):
        raise BandMismatchError(
            f"--bands names {len(bands)} bands, the model reads {len(card.bands)}: "
            f"{' '.join(card.bands.names)}"
        )
    places = {canonical(name): at for at, name in enumerate(names) if name}
    numbers = {str(at + 1): at for at in range(len(names))}
    unknown = [band for band in bands if canonical(band) not in places and band not in numbers]
    if unknown:
        there = " ".join(name or str(at + 1) for at, name in enumerate(names))
        raise BandMismatchError(f"no band {' '.join(unknown)} in the raster, which has {there}")
    return tuple(places.get(canonical(band), numbers.get(band, 0)) for band in bands)


def check_encoding(source: PixelSource, match: BandMatch, card: ModelCard) -> None:
    """Compare scale and offset of the files with those that the model was trained on.

    Raises:
        ModelError: they differ.
    """
    for at, band in zip(match.indexes, card.bands, strict=True):
        found = source.bands[at]
        if not np.allclose((found.scale, found.offset), (band.scale, band.offset)):
            raise ModelError(
                f"{source.name}: band {found.name or at + 1} has scale {found.scale:g} and offset "
                f"{found.offset:g}, the model was trained on {band.scale:g} and {band.offset:g}: "
                "convert the raster, or use --force-scale if its numbers are the same"
            )


def check_gsd(source: PixelSource, card: ModelCard) -> tuple[str, ...]:
    """Compare the ground sample distance with the model's; return notes.

    Raises:
        ModelError: it is more than twice as fine or coarse as any that the model was trained on.
    """
    gsd = gsd_m(source.geobox)
    if card.gsd_m is None:
        return ()
    if gsd is None:
        crs = "no CRS" if source.geobox.crs is None else "a CRS that does not lead to the ground"
        return (f"the raster has {crs}: its GSD is not known",)
    finest, coarsest = card.gsd_m
    if not finest / LARGEST_GSD_FACTOR <= gsd <= coarsest * LARGEST_GSD_FACTOR:
        raise ModelError(
            f"{source.name} has a GSD of {gsd:.3g} m, the model was trained on "
            f"{span_of_m(finest, coarsest)}: resample the raster, or use --force-gsd"
        )
    if not finest * 0.95 <= gsd <= coarsest * 1.05:
        return (f"GSD of {gsd:.3g} m, trained on {span_of_m(finest, coarsest)}",)
    return ()


def check_values(
    reader: PixelReader, source: PixelSource, match: BandMatch, card: ModelCard
) -> None:
    """Compare the 98th percentile of a sample with the card's.

    Raises:
        ModelError: the bands, taken together, are more than ten times brighter or darker.
    """
    factors = [
        (found, band, high / band.high)
        for found, band, high in zip(
            [source.bands[at] for at in match.indexes],
            card.bands,
            _highs(reader, len(card.bands)),
            strict=False,
        )
        if band.high and band.high > 0 and high > 0
    ]
    if not factors:
        return
    middle = float(np.exp(np.median([np.log(factor) for _, _, factor in factors])))
    if not 1 / LARGEST_RANGE_FACTOR <= middle <= LARGEST_RANGE_FACTOR:
        raise ModelError(_range_message(source, *factors[0]))


def _range_message(source: PixelSource, found: SourceBand, band: Band, factor: float) -> str:
    assert band.high is not None
    return (
        f"{source.name}: {found.dtype} values of band {band.name} reach {factor * band.high:.4g}, "
        f"those that the model was trained on ({band.dtype}) {band.high:.4g}: "
        "convert the raster to the same units, or use --force-scale"
    )


def _highs(reader: PixelReader, bands: int) -> list[float]:
    """98th percentile of each band over a sample of valid pixels; empty where there is none."""
    pixels = sample_pixels(reader, bands).valid_pixels.astype(np.float64)
    return [] if pixels.size == 0 else np.percentile(pixels, 98, axis=1).tolist()
