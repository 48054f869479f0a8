"""Area of interest: polygons of any vector file, as a mask on a raster's grid."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from shapely.geometry.base import BaseGeometry

from geohier.errors import InputError
from geohier.geo.window import Window
from geohier.raster.outlines import read_features


@dataclass(frozen=True)
class AreaOfInterest:
    """Polygons in a raster's CRS; a pixel is inside if its centre is.

    Args:
        geobox: grid of the raster.
        polygons: the area, in the raster's CRS.
    """

    geobox: GeoBox
    polygons: BaseGeometry

    def touches(self, window: Window) -> bool:
        """Return whether any part of a window lies in the area."""
        return bool(shapely.intersects(self._prepared, self._outline(window)))

    def mask(self, window: Window) -> NDArray[np.bool_]:
        """Return which pixels of a window inside the raster lie in the area, `(H, W)`."""
        from rasterio.features import rasterize

        if not self.touches(window):
            return np.zeros((window.height, window.width), np.bool_)
        burnt = rasterize(
            [self.polygons],
            out_shape=(window.height, window.width),
            transform=self.geobox[window.slices].transform,
            dtype="uint8",
        )
        return np.asarray(burnt, np.bool_)

    @cached_property
    def _prepared(self) -> BaseGeometry:
        shapely.prepare(self.polygons)
        return self.polygons

    def _outline(self, window: Window) -> BaseGeometry:
        return self.geobox[window.slices].extent.geom


def united(polygons: NDArray[np.object_]) -> BaseGeometry:
    """Return the union of polygons, of which some may cross themselves."""
    return shapely.union_all(shapely.make_valid(polygons))


def read_area(path: Path, geobox: GeoBox, *, layer: str | None = None) -> AreaOfInterest:
    """Read the polygons of a vector file in any CRS, for a raster's grid.

    Raises:
        InputError: the file cannot be read, holds no polygon, has no CRS, or lies elsewhere.
    """
    frame = read_features(path, layer=layer)
    polygons = frame[frame.geom_type.isin(["Polygon", "MultiPolygon"])]
    if polygons.empty:
        raise InputError(f"{path} holds no polygon: an area of interest needs one or more")
    if geobox.crs is None:
        raise InputError(f"the raster has no CRS: {path} cannot be placed on it")
    placed = polygons.to_crs(geobox.crs.to_wkt()).geometry.to_numpy()
    if not np.isfinite(shapely.get_coordinates(placed)).all():
        raise InputError(
            f"{path} has coordinates that are no place in the raster's CRS: check its CRS and "
            "coordinates"
        )
    area = AreaOfInterest(geobox=geobox, polygons=united(placed))
    whole = Window(row_off=0, col_off=0, height=geobox.height, width=geobox.width)
    if not area.touches(whole):
        raise InputError(f"{path} lies outside the raster: check its CRS and place")
    return area
