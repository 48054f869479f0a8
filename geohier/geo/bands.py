"""Bands: what a model expects of each, and how a raster's bands are matched to them by name."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from geohier.errors import BandMismatchError, ConfigError
from geohier.geo.formula import read_formula

COMMON_NAMES = {
    "b1": "coastal",
    "b2": "blue",
    "b3": "green",
    "b4": "red",
    "b5": "rededge071",
    "b6": "rededge075",
    "b7": "rededge078",
    "b8": "nir",
    "b8a": "nir08",
    "b9": "nir09",
    "b11": "swir16",
    "b12": "swir22",
    "near infrared": "nir",
    "near-infrared": "nir",
    "nearinfrared": "nir",
}
"""Other spellings of the STAC `eo:common_name`; the numbers are Sentinel-2's."""


type NormaliseBy = Literal["train", "scene"]
"""Whose mean and deviation normalise a scene: those of all train scenes, or the scene's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """One band as a model was trained on it.

    Args:
        name: STAC common name where there is one (`red`, `nir`), else the file's own.
        dtype: NumPy name of the data type in the files.
        mean: mean of the valid pixels, in file units.
        std: standard deviation of the valid pixels, in file units.
        low: 2nd percentile of the valid pixels, in file units.
        high: 98th percentile of the valid pixels, in file units.
        scale: scale that the files declare.
        offset: offset that the files declare.
        nodata: value that the files declare as nodata.
        formula: of the bands that it is computed from, such as `nir / (red + 1)`; None for a band
            of the files. The mean and what follows are then those of the formula's values.
    """

    name: str
    dtype: str
    mean: float
    std: float
    low: float | None = None
    high: float | None = None
    scale: float = 1.0
    offset: float = 0.0
    nodata: float | None = None
    formula: str | None = None

    def __post_init__(self) -> None:
        if not self.std > 0:
            raise ConfigError(
                f"band {self.name}: a standard deviation must be above 0, found {self.std}"
            )
        if self.formula is not None:
            check_formula(self.name, self.formula)


@dataclass(frozen=True, slots=True)
class BandSet:
    """The bands that a model reads, in its order."""

    bands: tuple[Band, ...]

    def __post_init__(self) -> None:
        names = [canonical(band.name) for band in self.bands]
        if not names or len(set(names)) < len(names):
            raise ConfigError(f"bands need distinct names, found {[b.name for b in self.bands]}")

    def __len__(self) -> int:
        return len(self.bands)

    def __iter__(self) -> Iterator[Band]:
        return iter(self.bands)

    @property
    def names(self) -> tuple[str, ...]:
        """Names, in the model's order."""
        return tuple(band.name for band in self.bands)

    @property
    def meanings(self) -> tuple[str, ...]:
        """Names, and of computed bands also the formula: `ratio = nir / (red + 1)`."""
        return tuple(
            one.name if one.formula is None else f"{one.name} = {one.formula}" for one in self.bands
        )

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the bands that a raster must have for it."""
        return input_names((band.name, band.formula) for band in self.bands)


def check_formula(name: str, formula: str) -> None:
    """Check what a band is to be computed from.

    Raises:
        ConfigError: it is no formula, or one of a band of that very name.
    """
    if canonical(name) in map(canonical, read_formula(formula).names):
        raise ConfigError(
            f"band {name} would be computed from itself ({formula}): give it a name of its own"
        )


def input_names(bands: Iterable[tuple[str, str | None]]) -> tuple[str, ...]:
    """Return the bands of a raster that a model needs: those that it reads, then those of formulas.

    Args:
        bands: name and formula of each band of the model; no formula for a band of the raster.

    Example:
        >>> input_names([("red", None), ("ratio", "B08 / (B04 + 1)")])
        ('red', 'B08')
    """
    listed = list(bands)
    own = [name for name, formula in listed if formula is None]
    named = [n for _, formula in listed if formula is not None for n in read_formula(formula).names]
    once: dict[str, str] = {}
    for name in (*own, *named):
        once.setdefault(canonical(name), name)
    return tuple(once.values())


def canonical(name: str) -> str:
    """Return the common name behind a band's name.

    Example:
        >>> canonical("B04"), canonical("Red"), canonical("NIR")
        ('red', 'red', 'nir')
    """
    key = name.strip().lower()
    if key.startswith("b0"):
        key = "b" + key[2:]
    return COMMON_NAMES.get(key, key)


def match_bands(
    wanted: tuple[str, ...], found: tuple[str | None, ...]
) -> tuple[tuple[int, ...], bool]:
    """Find the raster's bands that a model reads.

    Args:
        wanted: names of the model's bands, in its order.
        found: names of the raster's bands, None where it gives none.

    Returns:
        Index (from 0) in the raster of each wanted band, and whether they were matched by name;
        without names, bands are taken in their order if the counts agree.

    Raises:
        BandMismatchError: names are there but some are missing, or there are no names and the
            counts differ.

    Example:
        >>> match_bands(("red", "nir"), ("B02", "B04", "B08"))
        ((1, 2), True)
        >>> match_bands(("red", "nir"), (None, None))
        ((0, 1), False)
    """
    places = {canonical(name): at for at, name in enumerate(found) if name}
    if all(canonical(name) in places for name in wanted):
        return tuple(places[canonical(name)] for name in wanted), True
    named = [name for name in found if name]
    if named and len(named) == len(found):
        missing = [name for name in wanted if canonical(name) not in places]
        raise BandMismatchError(
            f"the raster's bands are {' '.join(named)}, the model reads {' '.join(wanted)}: "
            f"no {' '.join(missing)}; name the bands with --bands in the model's order"
        )
    if len(found) != len(wanted):
        raise BandMismatchError(
            f"the raster has {len(found)} bands without names, the model reads {len(wanted)} "
            f"({' '.join(wanted)}): name the bands with --bands in the model's order"
        )
    return tuple(range(len(wanted))), False
