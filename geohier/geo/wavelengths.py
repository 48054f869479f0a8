"""Wavelengths of bands by their names."""

from collections.abc import Sequence

from geohier.geo.bands import canonical

CENTRES_UM = {
    "coastal": 0.443, "blue": 0.490, "green": 0.560, "yellow": 0.605, "red": 0.665,
    "rededge": 0.705, "rededge071": 0.705, "rededge075": 0.740, "rededge078": 0.783,
    "nir": 0.842, "nir08": 0.865, "nir09": 0.945, "cirrus": 1.375, "swir16": 1.610,
    "swir22": 2.190, "lwir": 10.9, "lwir11": 10.9, "lwir12": 12.0, "pan": 0.590,
}  # fmt: skip
"""Central wavelengths of STAC's common names in micrometres, those of Sentinel-2's bands where it
has them, else of Landsat 8's."""


def central_wavelengths_um(names: Sequence[str]) -> list[float | None]:
    """Return the central wavelength of each band in micrometres, None where its name tells none.

    Example:
        >>> central_wavelengths_um(["B04", "nir", "height"])
        [0.665, 0.842, None]
    """
    return [CENTRES_UM.get(canonical(name)) for name in names]
