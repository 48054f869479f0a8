"""Ground sample distance: how many metres on the ground a pixel spans, in any CRS."""

import math
from functools import lru_cache

from odc.geo.geobox import GeoBox
from pyproj import Geod, Transformer
from pyproj.exceptions import ProjError

_EARTH = Geod(ellps="WGS84")


def pixel_size_m(box: GeoBox) -> tuple[float, float] | None:
    """Return height and width of the pixel at the centre of a grid, in metres on the ground.

    Measured along the geodesic, so Web Mercator and degrees give true metres too. None where the
    grid has no CRS, or one that does not lead to a place on Earth, such as that of a plan.

    Example:
        >>> from affine import Affine
        >>> box = GeoBox((100, 100), Affine(0.1, 0, 0, 0, -0.1, 8_400_000), "EPSG:3857")
        >>> [round(side, 3) for side in pixel_size_m(box)]
        [0.05, 0.05]
    """
    if box.crs is None:
        return None
    row, column = box.shape[0] / 2, box.shape[1] / 2
    try:
        to_degrees = _to_degrees(box.crs.to_wkt())
    except ProjError:
        return None

    def place(down: float, right: float) -> tuple[float, float]:
        return to_degrees.transform(*(box.affine @ (column + right, row + down)))

    height = _EARTH.inv(*place(-0.5, 0), *place(0.5, 0))[2]
    width = _EARTH.inv(*place(0, -0.5), *place(0, 0.5))[2]
    return (height, width) if math.isfinite(height + width) else None


@lru_cache(maxsize=64)  # scenes are many, their CRSs few, and each takes milliseconds to prepare
def _to_degrees(wkt: str) -> Transformer:
    return Transformer.from_crs(wkt, "OGC:CRS84", always_xy=True)


def gsd_m(box: GeoBox) -> float | None:
    """Return one ground sample distance for a grid: the side of a square of a pixel's area."""
    size = pixel_size_m(box)
    return None if size is None else (size[0] * size[1]) ** 0.5


def span_of_m(finest: float, coarsest: float) -> str:
    """Return a range of ground sample distances for people.

    Example:
        >>> span_of_m(0.1, 0.3), span_of_m(10, 10.001)
        ('0.1 to 0.3 m', '10 m')
    """
    low, high = f"{finest:.3g}", f"{coarsest:.3g}"
    return f"{low} m" if low == high else f"{low} to {high} m"
