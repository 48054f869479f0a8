"""Places that are similar to given ones: where to look, ranked."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from pyproj import Transformer
from shapely import STRtree

from geohier.data.label_features import LabelFeatures, centroids
from geohier.errors import ConfigError, InputError
from geohier.geo.gsd import pixel_size_m
from geohier.geo.window import Window
from geohier.raster.source import PixelSource
from geohier.studies.best_places import best_apart
from geohier.studies.feature_raster import FeatureRaster
from geohier.studies.place_pixels import pixels_at
from geohier.studies.places import Places
from geohier.studies.similarity import Similarity, similarity_to, windows_of

LONLAT = "OGC:CRS84"
WINDOW_PX = 512
"""Side of the windows of which each gives its best pixel."""

APART_PX = 16
"""How far places lie apart, in pixels, where nothing else is said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimilarPlace:
    """A pixel that is similar to the given places.

    Args:
        rank: from 1, the most similar.
        similarity: the cosine of its features and theirs, from -1 to 1.
        x, y: its centre, in the CRS of the raster.
        lon, lat: its centre, in degrees.
        row, column: where it is in the raster, from 0.
    """

    rank: int
    similarity: float
    x: float
    y: float
    lon: float
    lat: float
    row: int
    column: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Given places on a raster, and the similarity of its pixels to them."""

    places: Places
    similarity: Similarity
    notes: tuple[str, ...]


def places_at(
    coordinates: Sequence[tuple[float, float]],
    grid: GeoBox,
    *,
    lonlat: bool = False,
    radius_m: float = 0,
) -> Places:
    """Return places at coordinates.

    Args:
        coordinates: x and y of each in the CRS of the grid, or longitude and latitude.
        grid: grid of the raster.
        lonlat: whether they are degrees.
        radius_m: radius of the disc around each, in metres on the ground; with 0 a place is the
            pixel that it lies in.

    Raises:
        InputError: one lies outside of the grid, or the grid does not say where it lies.
    """
    xy = np.array(coordinates, np.float64)
    if lonlat:
        if grid.crs is None:
            raise InputError("the raster has no CRS: longitude and latitude have no place on it")
        onto = Transformer.from_crs(LONLAT, grid.crs.to_wkt(), always_xy=True)
        xy = np.column_stack(onto.transform(*xy.T))
    with np.errstate(invalid="ignore"):  # what is no degrees has become infinite
        at = np.column_stack(~grid.affine @ xy.T)
    inside = ((at >= 0) & (at < (grid.width, grid.height))).all(axis=1)
    if not inside.all():
        x, y = coordinates[int(np.argmin(inside))]
        raise InputError(f"{x:.15g},{y:.15g} lies outside the raster, {_extent(grid, lonlat)}")
    corners = np.floor(at)
    shapes = np.asarray(shapely.box(*corners.T, *(corners + 1).T))
    if radius_m:
        discs = around(np.asarray(shapely.points(at)), _in_pixels(radius_m, grid))
        shapes = np.asarray(shapely.union(shapes, discs))
    return _as_places(shapes)


def query(source: PixelSource, places: Places, *, bands: tuple[str, ...] | None = None) -> Query:
    """Find what is typical of places.

    Raises:
        LabelError: no place has a valid pixel.
        ConfigError: a band is asked for that is not there; or there is but one.
        InputError: the places have nothing in common, or the raster has no valid pixel.
    """
    raster = FeatureRaster.of(source, bands)
    pixels = pixels_at(places, raster)
    return Query(
        places=places,
        similarity=similarity_to(pixels, raster),
        notes=(*places.notes, *raster.notes, *pixels.notes),
    )


def similar_places(
    asked: Query, count: int = 10, apart_m: float | None = None
) -> list[SimilarPlace]:
    """Return the places most similar to the given ones, apart from them and from each other.

    Args:
        asked: the given places.
        count: how many places at most.
        apart_m: smallest distance in metres on the ground; 16 pixels by default.

    Raises:
        ConfigError: count or distance are not above 0.
        InputError: the raster has no GSD, so that metres say nothing of it.
    """
    if count < 1:
        raise ConfigError(f"{count} places: ask for 1 or more")
    if apart_m is not None and not 0 < apart_m < float("inf"):
        raise ConfigError(f"places {apart_m:g} m apart: give a distance above 0")
    grid = asked.similarity.raster.source.geobox
    apart_px = (APART_PX, APART_PX) if apart_m is None else _in_pixels(apart_m, grid)
    given = _widened(asked.places.features, apart_px)

    def field(window: Window) -> NDArray[np.floating]:
        values, _ = asked.similarity.read(window)
        return np.where(np.isnan(given.read(window)), values, np.nan)

    windows = windows_of(grid.height, grid.width, WINDOW_PX, WINDOW_PX)
    found = best_apart(field, windows, count, apart_px)
    return _located([(one.row, one.column, one.value) for one in found], grid)


def around(shapes: NDArray[np.object_], radii_px: tuple[float, float]) -> NDArray[np.object_]:
    """Return what lies within radii (in pixels, rows then columns) of shapes in pixels."""
    radii = np.array(radii_px[::-1])
    round_ones = shapely.buffer(shapely.transform(shapes, lambda xy: xy / radii), 1.0)
    return np.asarray(shapely.transform(round_ones, lambda xy: xy * radii))


def _widened(features: LabelFeatures, radii_px: tuple[float, float]) -> LabelFeatures:
    shapes = around(features.shapes, radii_px)
    return replace(features, shapes=shapes, tree=STRtree(shapes))


def _in_pixels(metres: float, grid: GeoBox) -> tuple[float, float]:
    size = pixel_size_m(grid)
    if size is None:
        raise InputError("the raster has no GSD: metres say nothing of its pixels")
    return metres / size[0], metres / size[1]


def _as_places(shapes: NDArray[np.object_]) -> Places:
    features = LabelFeatures(
        shapes=shapes,
        middles=centroids(shapes),
        values=np.arange(len(shapes), dtype=np.float64),
        outside=np.nan,
        areas=None,
        tree=STRtree(shapes),
        notes=(),
    )
    return Places(
        path=Path("--at"),
        features=features,
        classes=np.zeros(len(shapes), np.int64),
        names=("place",),
        values=(),
        notes=(),
    )


def _extent(grid: GeoBox, lonlat: bool) -> str:
    xy = shapely.get_coordinates(grid.extent.geom)
    if lonlat and grid.crs is not None:
        onto = Transformer.from_crs(grid.crs.to_wkt(), LONLAT, always_xy=True)
        xy = np.column_stack(onto.transform(*xy.T))
    (left, bottom), (right, top) = xy.min(axis=0), xy.max(axis=0)
    hint = "" if lonlat else "; give degrees with --lonlat"
    return f"which spans {left:.9g} to {right:.9g} and {bottom:.9g} to {top:.9g}{hint}"


def _located(found: Sequence[tuple[int, int, float]], grid: GeoBox) -> list[SimilarPlace]:
    if not found:
        return []
    rows, columns, values = (np.array(column) for column in zip(*found, strict=True))
    x, y = grid.affine @ np.array([columns + 0.5, rows + 0.5])
    assert grid.crs is not None
    lon, lat = Transformer.from_crs(grid.crs.to_wkt(), LONLAT, always_xy=True).transform(x, y)
    return [
        SimilarPlace(
            rank=at + 1,
            similarity=float(values[at]),
            x=float(x[at]),
            y=float(y[at]),
            lon=float(lon[at]),
            lat=float(lat[at]),
            row=int(rows[at]),
            column=int(columns[at]),
        )
        for at in range(len(found))
    ]
