"""Where a scene is labelled: its labelled pixels as polygons, and the circle they lie in."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import shapely
from affine import Affine
from numpy.typing import ArrayLike, NDArray
from odc.geo.geobox import GeoBox
from pyproj import Transformer
from shapely.geometry.base import BaseGeometry

from geohier.data.labelled import LabelledPixels, inside
from geohier.data.labels import IGNORE_INDEX
from geohier.data.strips import labelled_strips
from geohier.geo.gsd import pixel_size_m
from geohier.geo.window import Window

EARTH_RADIUS_M = 6_371_000
SLACK = 1.01
"""The Earth is no sphere: radii are taken larger, distances smaller."""

MOST_EDGES = 50_000
"""Changes between labelled and not along the rows of a strip from which on it is drawn coarsely."""

COARSE_PX = 16

SEGMENT_PX = 64.0
"""Straight edges bend under a change of CRS: they get a corner this often."""


def labelled_outline(one: LabelledPixels) -> NDArray[np.object_]:
    """Return polygons in pixels of the scene, column before row, that cover its labelled pixels.

    They cover no other pixels, except where labels are scattered like noise: there, squares of
    16 px are taken as a whole.
    """
    pieces = [
        piece
        for strip in labelled_strips(one)
        for piece in _pieces(one.read(strip).labels != IGNORE_INDEX, strip, one.scene.windows)
    ]
    return np.array(pieces, np.object_)


def _pieces(
    labelled: NDArray[np.bool_], strip: Window, parts: tuple[Window, ...]
) -> list[BaseGeometry]:
    if labelled.all():
        return [shapely.box(strip.col_off, strip.row_off, strip.col_stop, strip.row_stop)]
    if np.count_nonzero(labelled[:, 1:] != labelled[:, :-1]) > MOST_EDGES:
        labelled = _coarse(labelled)
        labelled &= inside(strip, parts) if parts else True
    from rasterio.features import shapes

    corner = Affine.translation(strip.col_off, strip.row_off)
    found: Any = shapes(labelled.astype(np.uint8), mask=labelled, transform=corner)
    return [shapely.geometry.shape(outline) for outline, _ in found]


def _coarse(labelled: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the same mask in which a square holds labels as a whole or not at all."""
    height, width = labelled.shape
    padded = np.pad(labelled, ((0, -height % COARSE_PX), (0, -width % COARSE_PX)))
    blocks = padded.reshape(len(padded) // COARSE_PX, COARSE_PX, -1, COARSE_PX).any(axis=(1, 3))
    whole: NDArray[np.bool_] = blocks.repeat(COARSE_PX, axis=0).repeat(COARSE_PX, axis=1)
    return whole[:height, :width]


@dataclass(frozen=True, slots=True)
class Circle:
    """A circle on the globe that a grid lies in: good for telling quickly what is far apart.

    Args:
        centre: unit vector from the middle of the Earth.
        radius_m: radius.
    """

    centre: NDArray[np.float64]
    radius_m: float

    @classmethod
    def around(cls, grid: GeoBox) -> "Circle":
        """Return the circle around a grid that has a CRS."""
        assert grid.crs is not None
        edge = shapely.get_coordinates(shapely.segmentize(_frame(grid), max(grid.shape) / 8))
        turn = _transformer(grid.crs.to_wkt(), "OGC:CRS84")
        lon, lat = np.radians(turn.transform(*_onto(grid.transform, edge).T))
        units = np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], 1)
        middle = units.mean(axis=0)
        centre = middle / np.linalg.norm(middle)
        return cls(centre, float(_arc_m(np.linalg.norm(units - centre, axis=1).max()) * SLACK))


def meeting(
    circles: Sequence[Circle], others: Sequence[Circle], within_m: float
) -> NDArray[np.int64]:
    """Return the pairs `(N, 2)` of circles that are no farther apart than a distance."""
    if not circles or not others:
        return np.empty((0, 2), np.int64)
    centres = np.stack([one.centre for one in others])
    radii = np.array([one.radius_m for one in others])
    pairs = [
        (at, near)
        for at, one in enumerate(circles)
        for near in np.flatnonzero(
            _arc_m(np.linalg.norm(centres - one.centre, axis=1)) / SLACK
            <= radii + one.radius_m + within_m
        )
    ]
    return np.array(pairs, np.int64).reshape(-1, 2)


def _arc_m(chord: ArrayLike) -> NDArray[np.float64]:
    halves = np.asarray(chord, np.float64) / 2
    return np.asarray(2 * np.arcsin(np.minimum(halves, 1.0)) * EARTH_RADIUS_M)


def place_on(
    shapes: NDArray[np.object_], grid: GeoBox, target: GeoBox, pixel_m: tuple[float, float]
) -> NDArray[np.object_]:
    """Return shapes in pixels of one grid as shapes in metres from another grid's first corner.

    Args:
        shapes: in pixels of `grid`.
        grid: their grid.
        target: grid of the plane.
        pixel_m: height and width of a pixel of `target`.
    """
    if grid != target:
        shapes = _in_pixels_of(shapes, grid, target)
    return np.asarray(shapely.transform(shapes, lambda xy: xy * (pixel_m[1], pixel_m[0])))


def _in_pixels_of(shapes: NDArray[np.object_], grid: GeoBox, target: GeoBox) -> NDArray[np.object_]:
    back = ~target.transform
    if grid.crs == target.crs:
        both = back @ grid.transform
        return np.asarray(shapely.transform(shapes, lambda xy: _onto(both, xy)))
    assert grid.crs is not None
    assert target.crs is not None
    turn = _transformer(grid.crs.to_wkt(), target.crs.to_wkt())

    def move(xy: NDArray[np.float64]) -> NDArray[np.float64]:
        return _onto(back, np.column_stack(turn.transform(*_onto(grid.transform, xy).T)))

    moved = shapely.transform(shapely.segmentize(shapes, SEGMENT_PX), move)
    return np.asarray(moved[np.isfinite(shapely.bounds(moved)).all(axis=-1)])


def are_near(grid: GeoBox, other: GeoBox, within_m: float) -> bool:
    """Return whether two grids that have a CRS come as close on the ground as a distance."""
    size = pixel_size_m(grid)
    assert size is not None
    frames = [np.array([_frame(one)], np.object_) for one in (grid, other)]
    here = place_on(frames[0], grid, grid, size)
    there = place_on(frames[1], other, grid, size)
    return bool(len(there)) and bool(shapely.dwithin(here[0], there[0], within_m))


@cache
def _transformer(source: str, target: str) -> Transformer:
    return Transformer.from_crs(source, target, always_xy=True)


def _frame(grid: GeoBox) -> shapely.Polygon:
    return shapely.box(0, 0, grid.width, grid.height)


def _onto(affine: Any, xy: NDArray[np.float64]) -> NDArray[np.float64]:  # noqa: ANN401 - takes arrays
    return np.column_stack(affine @ xy.T)
