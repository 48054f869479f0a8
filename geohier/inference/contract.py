"""The contract between a model and a scene: the same bands, units and ground sample distance.

A model that reads other bands, other units or another scale than it was trained on still gives an
answer, and the answer is wrong. So the scene is compared with the card before any work is done.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

from geohier.errors import BandMismatchError, ModelError
from geohier.geo.bands import Band, BandSet, canonical, match_bands
from geohier.geo.dates import span
from geohier.geo.gsd import gsd_m, span_of_m
from geohier.models.card import ModelCard
from geohier.raster.band_choice import BandChoice, choose, choose_by_date, lacks_all, with_second
from geohier.raster.sample import sample_pixels
from geohier.raster.source import PixelReader, PixelSource, SourceBand, bands_by_date

LARGEST_RANGE_FACTOR = 10
LARGEST_GSD_FACTOR = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class BandMatch:
    """Which bands of a scene the model reads.

    Args:
        source: the scene, with the bands that are computed for the model behind its own.
        choice: which of its bands the model reads, and which are computed of which.
        read: names of the scene's own bands that are needed, in the order of `BandSet.inputs`.
        by_name: whether names said which band is which.
    """

    source: PixelSource
    choice: BandChoice
    read: tuple[str, ...]
    by_name: bool

    @property
    def indexes(self) -> tuple[int, ...]:
        """Bands of the source, from 0, in the model's order."""
        return self.choice.indexes

    @property
    def found(self) -> tuple[str, ...]:
        """Name or formula of each, in the model's order; those of the newest date of a stack."""
        newest = self.choice.by_date()[0].indexes
        there = len(self.choice.there)
        found = [_shown(self.source.bands[at], at) for at in newest]
        return (*found[:there], *("(absent)" for _ in found[there:]))

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know about it."""
        notes = (f"a stack of {span(self.choice.dates)}",) if self.choice.dates else ()
        if self.choice.absent:
            notes = (f"no {' '.join(self.choice.absent)} in the scene: mapped without",)
        if self.by_name:
            return notes
        return (*notes, f"bands are taken by their order: {' '.join(self.read)}")


def match_scene(
    source: PixelSource, card: ModelCard, bands: Sequence[str] | None = None
) -> BandMatch:
    """Find the scene's bands for a model: as asked for, else by name, else in their order.

    Of a stack, they are found for each date by itself.

    Args:
        source: the scene.
        card: the model's.
        bands: the scene's bands in the order of `card.bands.inputs`, each a name or a number
            from 1; those of each date of a stack.

    Raises:
        BandMismatchError: bands are missing or too many, or the scene is a stack of dates and
            should not be, or is none and should be.
    """
    stack = bands_by_date(source.bands)
    _check_dates(source, card, len(stack))
    absent = _absent(source, card, bands)
    own = BandSet(card.bands.bands[: len(card.bands) - len(absent)])
    wanted, listed = own.inputs, [(band.name, band.formula) for band in own]
    whole = {None: tuple(range(len(source.bands)))}
    found = {
        day: _places(source, own, wanted, bands, day)
        for day, own in (whole if card.dates is None else stack).items()
    }
    places = {
        day: dict(zip(map(canonical, wanted), indexes, strict=True))
        for day, (indexes, _) in found.items()
    }
    dated = {day: own for day, own in places.items() if day is not None}
    if dated:
        choice = choose_by_date(listed, dated, len(source.bands))
    else:
        choice = choose(listed, places[None], len(source.bands))
    if card.may_miss:
        choice = with_second(choice, len(card.may_miss), absent, len(source.bands))
    newest = next(iter(found.values()))[0]
    read = tuple(_shown(source.bands[at], at) for at in newest)
    by_name = all(named for _, named in found.values())
    return BandMatch(source=choice.of(source), choice=choice, read=read, by_name=by_name)


def _absent(source: PixelSource, card: ModelCard, bands: Sequence[str] | None) -> tuple[str, ...]:
    """Return the bands of a second sensor if the scene lacks them all: by name, or else by number.

    Bands that are asked for tell by their number, too.
    """
    if not card.may_miss:
        return ()
    fewer = len(card.always_there.inputs)
    if bands is not None:
        return card.may_miss if len(bands) == fewer else ()
    unnamed = not any(band.name for band in source.bands)
    missing = len(source.bands) == fewer if unnamed else lacks_all(source.bands, card.may_miss)
    return card.may_miss if missing else ()


def _check_dates(source: PixelSource, card: ModelCard, dates: int) -> None:
    if card.dates is None and dates > 1:
        raise BandMismatchError(
            f"{source.name} is a stack of {dates} dates, and the model reads one image: name the "
            "files of one date, or take a model of dates (model.hierarchy.time)"
        )
    if card.dates is not None and not dates:
        raise BandMismatchError(
            f"{source.name} does not say when it was taken, and the model reads a stack of dates: "
            "write a scene file with dates, of which one may be all"
        )


def _places(
    source: PixelSource,
    own: Sequence[int],
    wanted: tuple[str, ...],
    bands: Sequence[str] | None,
    day: date | None,
) -> tuple[tuple[int, ...], bool]:
    """Return where the bands stand that a model needs, and whether names said so."""
    among = [source.bands[at] for at in own]
    try:
        if bands is not None:
            names = tuple(band.name for band in among)
            return tuple(own[at] for at in _asked_for(names, wanted, bands)), True
        readable = _readable(among, wanted)
        extra_alpha = len(readable) == len(wanted) + 1 and among[-1].tagged_alpha
        found, by_name = match_bands(wanted, readable[:-1] if extra_alpha else readable)
    except BandMismatchError as error:
        if day is None:
            raise
        raise BandMismatchError(f"{source.name}, {day}: {error}") from error
    return tuple(own[at] for at in found), by_name and all(among[at].name for at in found)


def _readable(bands: Sequence[SourceBand], wanted: Sequence[str]) -> tuple[str | None, ...]:
    """Return the names of bands; those that training found without a name are known by number."""
    numbers = [f"band_{at + 1}" for at in range(len(bands))]
    return tuple(
        band.name or (number if number in wanted else None)
        for band, number in zip(bands, numbers, strict=True)
    )


def _shown(band: SourceBand, at: int) -> str:
    return band.formula or band.name or f"band {at + 1}"


def _asked_for(
    names: Sequence[str | None], wanted: Sequence[str], bands: Sequence[str]
) -> tuple[int, ...]:
    if len(bands) != len(wanted):
        raise BandMismatchError(
            f"--bands names {len(bands)} bands, the model reads {len(wanted)}: {' '.join(wanted)}"
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

    What is computed for the model is computed of physical values, whatever the files' own units.

    Raises:
        ModelError: they differ, or an index of reflectances would be computed of something else.
    """
    wrong = match.choice.wrong_units(source.bands)
    if wrong:
        raise ModelError(
            f"{source.name}: {wrong}: declare it in the raster, or use --force-scale if its "
            "numbers are the same"
        )
    dates = len(match.choice.by_date())
    bands = [*card.bands] * dates
    for place in match.choice.there:
        at, band = match.indexes[place], bands[place]
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
    readers: Sequence[PixelReader], source: PixelSource, match: BandMatch, card: ModelCard
) -> None:
    """Compare how far a sample reaches, up to its 98th percentile, with the card's.

    Args:
        readers: of the model's bands; of a stack, one for each date.
        source: what they read.
        match: which bands they are.
        card: the model's.

    Raises:
        ModelError: the bands, taken together, are more than ten times brighter or darker.
    """
    for reader, one in zip(readers, match.choice.by_date(), strict=True):
        _check_values(reader, source, [source.bands[at] for at in one.indexes], card)


def _check_values(
    reader: PixelReader, source: PixelSource, bands: Sequence[SourceBand], card: ModelCard
) -> None:
    reaches = [
        (found, band, _reach(band, *ends), _reach(band, band.low, band.high))
        for found, band, ends in zip(bands, card.bands, _ends(reader, len(bands)), strict=False)
    ]
    known = [one for one in reaches if min(one[2:]) > 0]
    if not known:
        return
    middle = float(np.exp(np.median([np.log(reach / trained) for *_, reach, trained in known])))
    if not 1 / LARGEST_RANGE_FACTOR <= middle <= LARGEST_RANGE_FACTOR:
        raise ModelError(_range_message(source, *known[0]))


def _reach(band: Band, low: float | None, high: float | None) -> float:
    """Return how far from 0 a band reaches, an index to either side; 0 where that is not known."""
    if high is None:
        return 0.0
    return high if band.formula is None or low is None else max(-low, high)


def _range_message(
    source: PixelSource, found: SourceBand, band: Band, reach: float, trained: float
) -> str:
    return (
        f"{source.name}: {found.dtype} values of band {band.name} reach {reach:.4g}, "
        f"those that the model was trained on ({band.dtype}) {trained:.4g}: "
        "convert the raster to the same units, or use --force-scale"
    )


def _ends(reader: PixelReader, bands: int) -> list[list[float]]:
    """2nd and 98th percentile of each band over a sample of its valid pixels, 0 without any."""
    sample = sample_pixels(reader, bands)
    if not sample.valid.any():
        return []
    own = (v[m].astype(np.float64) for v, m in zip(sample.values, sample.valid, strict=True))
    return [np.percentile(v, (2, 98)).tolist() if v.size else [0.0, 0.0] for v in own]
