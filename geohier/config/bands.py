"""Bands in a config: bands of the files, and bands that a formula computes from them."""

from collections import Counter
from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, model_validator

from geohier.geo.bands import check_formula


class BandFormula(BaseModel):
    """A band that is computed from others."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    name: Annotated[str, Field(min_length=1)]
    """Name of the band."""
    formula: str
    """Arithmetic of band names, such as nir / (red + 1)."""

    @model_validator(mode="after")
    def _formula_is_one(self) -> "BandFormula":
        check_formula(self.name, self.formula)
        return self


type BandConfig = str | NonNegativeInt | BandFormula
type BandsInput = list[str | NonNegativeInt | BandFormula | dict[str, str]] | None
"""What a config may give: a formula is {name: ..., formula: ...}, or {name: formula} for short."""


def read_bands(given: object) -> object:
    """Return bands in which each formula stands beside its name, and is one.

    Raises:
        ValueError: a band is given by none of the spellings, or twice, or its formula is none.

    Example:
        >>> read_bands(["red", {"ratio": "nir / (red + 1)"}])
        ['red', {'name': 'ratio', 'formula': 'nir / (red + 1)'}]
    """
    if not isinstance(given, list | tuple):
        return given
    bands = [_read(one) for one in given]
    counts = Counter(_name(one) for one in bands)
    for name, count in counts.items():
        if count > 1:
            raise ValueError(f"band {name} is named {count} times: name it once")
    return bands


def _name(band: object) -> str:
    """Return the name of a band, or its index."""
    match band:
        case BandFormula():
            return band.name
        case Mapping():
            return str(band["name"])
    return str(band)


def _read(given: object) -> object:
    """Check a band here, once: a union of types would complain of each of them."""
    one = _spelt_out(given) if isinstance(given, Mapping) else given
    match one:
        case {"name": str() as name, "formula": str() as formula, **more} if name and not more:
            check_formula(name, formula)
        case bool():
            raise _no_band(given)
        case int() if one < 0:
            raise _no_band(given)
        case str() | int() | BandFormula():
            pass
        case _:
            raise _no_band(given)
    return one


def _spelt_out(one: Mapping[object, object]) -> Mapping[object, object]:
    ((name, formula), *more) = one.items() or [("", "")]
    short = not more and name not in BandFormula.model_fields
    return {"name": name, "formula": formula} if short else one


def _no_band(found: object) -> ValueError:
    return ValueError(
        "a band is a name, an index from 0, or {name: ratio, formula: nir / (red + 1)}, "
        f"found {found!r}"
    )
