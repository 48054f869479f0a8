"""Which bands of a source make up a model's image, read or computed, and in which groups."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

import numpy as np

from geohier.geo.bands import canonical
from geohier.geo.formula import read_formula
from geohier.geo.indices import needs_reflectance
from geohier.raster.absent import BlankedSource
from geohier.raster.derived import DerivedBand, DerivedSource
from geohier.raster.groups import BandGroup, GroupedReader
from geohier.raster.source import AlphaRule, PixelReader, PixelSource, SourceBand, ValidRule


@dataclass(frozen=True, slots=True, kw_only=True)
class BandChoice:
    """Which bands of a source make up a model's.

    Args:
        indexes: the model's bands, in its order; computed ones count on from the source's last.
        derived: the computed ones.
        groups: which of them are valid by themselves; empty where all are valid or none is. Those
            of a stack of dates are its dates, the newest first, with the same bands each.
        absent: names of bands that the source lacks; they count on from the last computed one.
    """

    indexes: tuple[int, ...]
    derived: tuple[DerivedBand, ...] = ()
    groups: tuple[BandGroup, ...] = ()
    absent: tuple[str, ...] = ()

    @property
    def there(self) -> tuple[int, ...]:
        """Places, in the model's order, of the bands that the source has."""
        return tuple(range(len(self.indexes) - len(self.absent)))

    @property
    def dates(self) -> tuple[date, ...]:
        """Dates of a stack, the newest first; empty of no stack."""
        return tuple(group.taken for group in self.groups if group.taken is not None)

    def by_date(self) -> tuple["BandChoice", ...]:
        """Return a choice of the bands of each date alone; itself of no stack."""
        if not self.dates:
            return (self,)
        return tuple(
            replace(self, indexes=tuple(self.indexes[at] for at in group.places), groups=())
            for group in self.groups
        )

    def reader(
        self, source: PixelSource, *, valid: ValidRule = "all", alpha: AlphaRule = "auto"
    ) -> PixelReader:
        """Return a reader of the model's bands.

        Args:
            source: what `of` returned.
            valid: how masks of the bands, or of those of a group, are merged.
            alpha: how a band that is tagged alpha is taken.
        """
        if not self.groups or valid == "any":
            return source.select(self.indexes, valid=valid, alpha=alpha)
        apart = source.select(self.indexes, valid="any", alpha=alpha)
        return GroupedReader(apart, self.groups)

    def of(self, source: PixelSource) -> PixelSource:
        """Return the source with the computed bands, and those that it lacks, behind its own."""
        whole = DerivedSource(source, self.derived) if self.derived else source
        return BlankedSource(whole, self.absent) if self.absent else whole

    def wrong_units(self, bands: Sequence[SourceBand]) -> str | None:
        """Return what is wrong with an index of reflectances whose bands cannot be reflectances.

        Args:
            bands: those of the source. Whole numbers without a scale are no reflectances.
        """
        for one in self.derived:
            for at in one.inputs if needs_reflectance(one.formula.text) else ():
                if bands[at].scale == 1 and np.dtype(bands[at].dtype).kind in "iu":
                    return (
                        f"{one.name} is made for reflectances, but band "
                        f"{bands[at].name or at + 1} holds whole numbers ({bands[at].dtype}) and "
                        "declares no scale"
                    )
        return None


def choose(
    bands: Iterable[tuple[str, str | None]], places: Mapping[str, int], count: int
) -> BandChoice:
    """Return how a model's bands come from a source.

    Args:
        bands: name and formula of each; no formula for a band of the source.
        places: index in the source of each band that is read or named, by its canonical name.
        count: bands of the source.
    """
    indexes: list[int] = []
    derived: list[DerivedBand] = []
    for name, text in bands:
        if text is None:
            indexes.append(places[canonical(name)])
            continue
        indexes.append(count + len(derived))
        formula = read_formula(text)
        inputs = tuple(places[canonical(one)] for one in formula.names)
        derived.append(DerivedBand(name=name, formula=formula, inputs=inputs))
    return BandChoice(indexes=tuple(indexes), derived=tuple(derived))


def lacks_all(bands: Iterable[SourceBand], names: Sequence[str]) -> bool:
    """Return whether none of these names is that of a band, though all bands have names.

    Bands without names may be any: their number decides.
    """
    known = [band.name for band in bands]
    found = {canonical(name) for name in known if name}
    return None not in known and bool(names) and found.isdisjoint(map(canonical, names))


def with_second(choice: BandChoice, bands: int, absent: Sequence[str], count: int) -> BandChoice:
    """Return a choice whose last bands are those of a second sensor, which may miss.

    Args:
        choice: of all bands, or of those of the first sensor where the second is absent.
        bands: bands of the second sensor.
        absent: their names, where the source lacks them.
        count: bands of the source.
    """
    beyond = count + len(choice.derived)
    indexes = (*choice.indexes, *range(beyond, beyond + len(absent)))
    own = len(indexes) - bands
    groups = (
        BandGroup(places=tuple(range(own)), may_miss=False),
        BandGroup(places=tuple(range(own, len(indexes))), may_miss=True),
    )
    return replace(choice, indexes=indexes, groups=groups, absent=tuple(absent))


def choose_by_date(
    bands: Iterable[tuple[str, str | None]], places: Mapping[date, Mapping[str, int]], count: int
) -> BandChoice:
    """Return how a model's bands come from each date of a stack.

    Args:
        bands: name and formula of each; no formula for a band of the source.
        places: for each date, index in the source of each band that is read or named.
        count: bands of the source.
    """
    listed = list(bands)
    indexes: list[int] = []
    derived: list[DerivedBand] = []
    for own in places.values():
        chosen = choose(listed, own, count + len(derived))
        indexes += chosen.indexes
        derived += chosen.derived
    each = len(listed)
    spans = ((range(at * each, (at + 1) * each), taken) for at, taken in enumerate(places))
    groups = (BandGroup(places=tuple(s), may_miss=True, taken=taken) for s, taken in spans)
    return BandChoice(indexes=tuple(indexes), derived=tuple(derived), groups=tuple(groups))
