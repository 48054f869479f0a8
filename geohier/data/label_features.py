"""Vector labels on a scene's grid: polygons, boxes and points, burnt window by window."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from shapely import STRtree

from geohier.data.label_rules import LabelRules
from geohier.errors import ConfigError, LabelError
from geohier.geo.gsd import pixel_size_m
from geohier.geo.window import Window
from geohier.raster.aoi import AreaOfInterest, united
from geohier.raster.files import shown
from geohier.raster.outlines import read_features

POINTS = (shapely.GeometryType.POINT, shapely.GeometryType.MULTIPOINT)

FARTHEST = 1e9
"""Coordinates beyond it, in whatever unit of a CRS, are no place on Earth."""

SMALL_PX = 4.0
"""Area in pixels below which a feature may lie between the centres of pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelFeatures:
    """Features on a grid (a `LabelSource`); a pixel has the label of the last one over its centre.

    A feature that is too small to lie over the centre of a pixel labels the pixel that it is in.

    Args:
        shapes: polygons in pixels of the grid, column before row.
        middles: column and row `(N, 2)` of the centroid of each feature as it was read, without the
            disc or the pixel that its shape has beside; NaN where nothing of it was left.
        values: label value of each.
        outside: label value of the ground that no feature covers, NaN if it is unlabelled.
        areas: where `outside` holds; everywhere if None.
        tree: finds the shapes of a window.
        notes: what a user should know about the labels.
    """

    shapes: NDArray[np.object_]
    middles: NDArray[np.float64]
    values: NDArray[np.float64]
    outside: float
    areas: AreaOfInterest | None
    tree: STRtree
    notes: tuple[str, ...]

    def read(self, window: Window) -> NDArray[np.generic]:
        """Return the label values of a window, NaN where unlabelled."""
        burnt = self._ground(window)
        corner = (window.col_off, window.row_off)
        box = shapely.box(*corner, corner[0] + window.width, corner[1] + window.height)
        near = np.sort(self.tree.query(box))
        if near.size:
            from rasterio.features import rasterize

            rasterize(
                zip(self.shapes[near], self.values[near].tolist(), strict=True),
                out=burnt,
                transform=Affine.translation(*corner),
            )
        return burnt

    def _ground(self, window: Window) -> NDArray[np.float64]:
        ground = np.full((window.height, window.width), self.outside)
        if self.areas is not None:
            ground[~self.areas.mask(window)] = np.nan
        return ground


def read_label_features(path: Path, grid: GeoBox, rules: LabelRules) -> LabelFeatures:
    """Read a vector file of labels in any CRS, for a scene's grid.

    Raises:
        LabelError: it holds nothing that can be burnt, or a feature has no class.
        InputError: the file cannot be read.
        ConfigError: the rules do not fit the file.
    """
    if grid.crs is None:
        raise LabelError(f"{shown(path)}: its image has no CRS, so features cannot be placed")
    frame, lost = _on_earth(path, grid)
    known = frame.geom_type.isin(["Polygon", "MultiPolygon", "Point", "MultiPoint"])
    if not known.any() and len(frame):
        raise LabelError(
            f"{shown(path)} holds no polygons or points: labels are these, or a raster"
        )
    notes = (
        [f"{shown(path)}: {(~known).sum()} features are lines: left out"] if (~known).any() else []
    )
    if lost:
        notes.append(f"{shown(path)}: {lost} features have coordinates that are no place: left out")
    frame = frame[known]
    values = _values(frame, path, rules)
    placed, points, mended = _in_pixels(frame, grid)
    middles = centroids(placed)
    shapes, tiny = _over_pixels(placed, points, path, grid, rules)
    _check_place(shapes, path, grid)
    if mended:
        notes.append(f"{shown(path)}: {mended} polygons cross themselves: mended")
    if tiny:
        notes.append(
            f"{shown(path)}: {tiny} polygons are smaller than a pixel: each labels the one that it "
            "is in"
        )
    outside = _outside(rules)
    ground = "unlabelled" if np.isnan(outside) else str(rules.outside)
    notes.append(f"{shown(path)}: {len(frame)} features; the ground outside them is {ground}")
    return LabelFeatures(
        shapes=shapes,
        middles=middles,
        values=values,
        outside=outside,
        areas=None if rules.areas is None else _areas(rules.areas, grid),
        tree=STRtree(shapes),
        notes=tuple(notes),
    )


def _on_earth(path: Path, grid: GeoBox) -> tuple[Any, int]:
    """Return the features of a file in the CRS of a grid, and how many have no finite place."""
    assert grid.crs is not None
    frame = read_features(path).to_crs(grid.crs.to_wkt())
    xy, of = shapely.get_coordinates(frame.geometry.to_numpy(), return_index=True)
    lost = np.unique(of[~(np.abs(xy) < FARTHEST).all(axis=1)])
    if len(lost) and len(lost) == len(frame):
        raise LabelError(
            f"{shown(path)}: none of its {len(frame)} features has coordinates that are a place in "
            "the image's CRS: check its CRS and coordinates"
        )
    return frame.drop(index=frame.index[lost]), len(lost)


def _check_place(shapes: NDArray[np.object_], path: Path, grid: GeoBox) -> None:
    """Refuse features that lie somewhere else; among features, a scene may well have none."""
    if not len(shapes):
        return
    around = shapely.box(*shapely.total_bounds(shapes))
    if not around.intersects(shapely.box(0, 0, grid.width, grid.height)):
        raise LabelError(
            f"{shown(path)}: its {len(shapes)} features lie outside the image: check its CRS and "
            "place"
        )


def _values(frame: Any, path: Path, rules: LabelRules) -> NDArray[np.float64]:  # noqa: ANN401
    """Return the label value of each feature."""
    if rules.attribute is None:
        if rules.alone is None:
            raise ConfigError(
                f"{shown(path)}: there are {len(rules.classes)} classes: name the column that "
                "holds them (attribute)"
            )
        return np.full(len(frame), rules.value_of(rules.alone), np.float64)
    if rules.attribute not in frame.columns:
        columns = [name for name in frame.columns if name != "geometry"]
        raise ConfigError(
            f"{shown(path)} has no column {rules.attribute}: it has {' '.join(columns)}"
        )
    column = frame[rules.attribute]
    if column.dtype.kind in "iufb":
        return np.asarray(column.to_numpy(np.float64))
    return _values_of_names(column.fillna("").astype(str).tolist(), path, rules)


def _values_of_names(names: list[str], path: Path, rules: LabelRules) -> NDArray[np.float64]:
    """Return the label values that names of classes stand for; no name is no label."""
    values = [rules.value_of(name) if name else np.nan for name in names]
    if None in values:
        raise LabelError(
            f"{shown(path)}: {rules.attribute} has {names[values.index(None)]!r}, but the classes "
            f"are {' '.join(rules.classes)}: name them so"
        )
    return np.array(values, np.float64)


def _outside(rules: LabelRules) -> float:
    if rules.outside is None:
        return np.nan
    value = rules.value_of(rules.outside)
    if value is None:
        raise ConfigError(
            f"outside {rules.outside} is no class: the classes are {' '.join(rules.classes)}"
        )
    return float(value)


def centroids(shapes: NDArray[np.object_]) -> NDArray[np.float64]:
    """Return the centroid of each shape `(N, 2)`, NaN of an empty one."""
    found = shapely.centroid(shapes)
    return np.column_stack([shapely.get_x(found), shapely.get_y(found)])


def _in_pixels(
    frame: Any,  # noqa: ANN401 - geopandas is untyped
    grid: GeoBox,
) -> tuple[NDArray[np.object_], NDArray[np.bool_], int]:
    """Return features in pixels of the grid, which of them are points, and how many were mended."""
    to_pixels = ~grid.transform
    placed = shapely.transform(
        frame.geometry.to_numpy(), lambda xy: np.column_stack(to_pixels @ xy.T)
    )
    points = np.isin(shapely.get_type_id(placed), POINTS)  # mending makes more of them
    broken = ~shapely.is_valid(placed)
    placed[broken] = shapely.make_valid(placed[broken])
    return placed, points, int(broken.sum())


def _over_pixels(
    placed: NDArray[np.object_],
    points: NDArray[np.bool_],
    path: Path,
    grid: GeoBox,
    rules: LabelRules,
) -> tuple[NDArray[np.object_], int]:
    """Return the shapes that stand for features, each over some pixel; how many are tiny."""
    shapes = placed.copy()
    if points.any():
        shapes[points] = _discs(placed[points], path, grid, rules.point_radius_m)
    areas = shapely.area(shapes)
    small = ~points & (areas < SMALL_PX)
    tiny = int((~points & (areas < 1)).sum())
    shapes[small] = _with_their_pixel(shapes[small])
    return shapes, tiny


def _discs(
    points: NDArray[np.object_], path: Path, grid: GeoBox, radius_m: float | None
) -> NDArray[np.object_]:
    """Return discs around points, each with the pixel that the point lies in."""
    if radius_m is None:
        raise ConfigError(
            f"{shown(path)} holds points: say how large the discs are that stand for them "
            "(point_radius_m, in metres)"
        )
    if radius_m == 0:
        return _pixels_under(points)
    size_m = pixel_size_m(grid)
    if size_m is None:
        raise LabelError(f"{shown(path)}: its image has no GSD, so discs have no size in pixels")
    radii = np.array([radius_m / size_m[1], radius_m / size_m[0]])  # columns, rows
    round_ones = shapely.buffer(shapely.transform(points, lambda xy: xy / radii), 1.0)
    return _with_their_pixel(shapely.transform(round_ones, lambda xy: xy * radii))


def _pixels_under(points: NDArray[np.object_]) -> NDArray[np.object_]:
    """Return the pixels that points lie in; several points of one feature have several."""
    corners, of = shapely.get_coordinates(points, return_index=True)
    corners = np.floor(corners)
    pixels: NDArray[np.object_] = np.asarray(shapely.box(*corners.T, *(corners + 1).T))
    return np.asarray(shapely.multipolygons(pixels, indices=of.astype(np.intp)))


def _with_their_pixel(shapes: NDArray[np.object_]) -> NDArray[np.object_]:
    """Return shapes joined with the pixel that the middle of each lies in."""
    corner = np.floor(shapely.get_coordinates(shapely.point_on_surface(shapes)))
    pixels = shapely.box(*corner.T, *(corner + 1).T)
    return np.asarray(shapely.union(shapes, pixels))


def _areas(path: Path, grid: GeoBox) -> AreaOfInterest:
    """Return the areas of a vector file, none of which may lie on the grid."""
    frame, _ = _on_earth(path, grid)
    polygons = frame[frame.geom_type.isin(["Polygon", "MultiPolygon"])]
    if polygons.empty:
        raise LabelError(f"{shown(path)} holds no polygon: areas are one or more")
    return AreaOfInterest(geobox=grid, polygons=united(polygons.geometry.to_numpy()))
