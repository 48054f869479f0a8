"""Well-known spectral indices by name: their formulas, and who proposed them."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SpectralIndex:
    """An index of the brightness of several bands.

    Args:
        formula: of STAC common names, as `geo.formula` reads it.
        source: who proposed it.
        reflectance: whether its constants mean reflectances, so that other units give nonsense.
    """

    formula: str
    source: str
    reflectance: bool = False


def _difference(one: str, other: str, source: str) -> SpectralIndex:
    """Return a normalised difference.

    Of reflectances it lies in [-1, 1]. Dark pixels whose reflectance is slightly negative, as
    Sentinel-2 has them, would give any number, so it is clipped to that.
    """
    text = f"clip(({one} - {other}) / ({one} + {other}), -1, 1)"
    return SpectralIndex(formula=text, source=source)


def _of_reflectance(text: str, source: str) -> SpectralIndex:
    return SpectralIndex(formula=f"clip({text}, -1, 1)", source=source, reflectance=True)


INDICES: Mapping[str, SpectralIndex] = {
    "ndvi": _difference("nir", "red", "Rouse et al. 1974"),
    "gndvi": _difference("nir", "green", "Gitelson et al. 1996"),
    "ndre": _difference("nir", "rededge071", "Gitelson and Merzlyak 1994"),
    "ndwi": _difference("green", "nir", "McFeeters 1996"),
    "mndwi": _difference("green", "swir16", "Xu 2006"),
    "ndmi": _difference("nir", "swir16", "Wilson and Sader 2002"),
    "ndsi": _difference("green", "swir16", "Hall et al. 1995"),
    "ndbi": _difference("swir16", "nir", "Zha et al. 2003"),
    "nbr": _difference("nir", "swir22", "Key and Benson 2006"),
    "ngrdi": _difference("green", "red", "Tucker 1979"),
    "savi": _of_reflectance("1.5 * (nir - red) / (nir + red + 0.5)", "Huete 1988"),
    "evi": _of_reflectance(
        "2.5 * (nir - red) / (nir + 6 * red - 7.5 * blue + 1)", "Huete et al. 2002"
    ),
    "evi2": _of_reflectance("2.5 * (nir - red) / (nir + 2.4 * red + 1)", "Jiang et al. 2008"),
    "vari": SpectralIndex(
        formula="clip((green - red) / (green + red - blue), -1, 1)", source="Gitelson et al. 2002"
    ),
    "exg": SpectralIndex(
        formula="clip((2 * green - red - blue) / (red + green + blue), -1, 2)",
        source="Woebbecke et al. 1995",
    ),
}
"""Indices by the name that a config may give. Quotients are clipped to the range that they have, or
are said to have, for reflectances: else one dark pixel would outweigh a scene."""

_NEEDING_REFLECTANCE = {one.formula for one in INDICES.values() if one.reflectance}


def needs_reflectance(formula: str) -> bool:
    """Whether a formula is that of an index whose constants mean reflectances."""
    return formula in _NEEDING_REFLECTANCE
