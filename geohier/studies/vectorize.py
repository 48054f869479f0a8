"""A class raster as polygons, with their classes and areas."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from pyproj import Transformer

from geohier.errors import ConfigError
from geohier.geo.gsd import pixel_size_m
from geohier.geo.window import Window
from geohier.models.card import ClassLabel
from geohier.raster.regions import Region, RegionTracer
from geohier.raster.vectors import check_named_vector, check_placed, write_vectors
from geohier.studies.class_raster import ClassRaster, open_classes
from geohier.studies.legend import UNLABELLED

STRIP_PX = 4_000_000
"""Pixels that are traced at once: some 200 MB."""

type Shapes = NDArray[np.object_]


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorOptions:
    """What becomes of the regions of a class raster.

    Args:
        classes: names or numbers of the classes to trace; empty for all.
        min_area_m2: smaller polygons are left out; square pixels where the raster has no GSD.
        simplify_m: how coarse outlines may become, in metres: corners go that span triangles of
            less than the square of it (Visvalingam and Whyatt 1993), those of borders that two
            polygons share alike in both.
        rectangles: whether each polygon becomes the smallest rectangle around it, of any angle.
    """

    classes: tuple[str, ...] = ()
    min_area_m2: float = 0.0
    simplify_m: float = 0.0
    rectangles: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Vectorized:
    """What came of a raster.

    Args:
        path: the file that was written.
        counts: polygons of each class, by name.
        areas_m2: their area; None without a GSD.
        notes: what a user should know.
    """

    path: Path
    counts: dict[str, int]
    areas_m2: dict[str, float] | None
    notes: tuple[str, ...]


def vectorize(
    path: Path,
    out: Path,
    options: VectorOptions,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Vectorized:
    """Write the regions of a class raster as polygons.

    A region is pixels of one class that hang together by their edges; numbers below 0 are none. The
    raster is read in strips,
    of which the polygons alone are kept in memory; they do not depend on the strips.

    Args:
        path: class raster, such as a prediction.
        out: vector file; its suffix says the format.
        options: what becomes of the regions.
        progress: called with the pixels that are read and those there are.

    Raises:
        ConfigError: options make no sense, or not for this raster.
        InputError: the raster cannot be read, or holds no numbers of classes.
        ResourceError: the file cannot be written.
    """
    check_options(options)
    check_named_vector(out)
    with open_classes(path) as raster:
        check_placed(out, raster.grid.crs)
        wanted = _numbers(options.classes, raster.classes, path)
        scale, notes = _scale(raster.grid, options)
        smallest = math.ceil(options.min_area_m2 / (scale[0] * scale[1]) - 1e-9)
        regions = _order(_regions(raster, wanted, max(1, smallest), progress))
        names, grid = tuple(one.name for one in raster.classes), raster.grid
    shapes = _shaped([one.polygon for one in regions], scale, options)
    frame = _table([one.value for one in regions], shapes, names, grid)
    write_vectors(frame, out)
    return _summary(out, frame, notes)


def _summary(out: Path, frame: Any, notes: tuple[str, ...]) -> Vectorized:  # noqa: ANN401
    grouped = frame.groupby("class_name", sort=False)
    areas = {str(name): float(area) for name, area in grouped["area_m2"].sum().items()}
    if not len(frame):
        notes = (*notes, "no pixel of these classes makes a polygon that large: the file is empty")
    return Vectorized(
        path=out,
        counts={str(name): int(count) for name, count in grouped.size().items()},
        areas_m2=areas if frame["area_m2"].notna().all() else None,
        notes=notes,
    )


def check_options(options: VectorOptions) -> None:
    """Check that options make sense together.

    Raises:
        ConfigError: they do not.
    """
    for key in ("min_area_m2", "simplify_m"):
        value = getattr(options, key)
        if not 0 <= value < math.inf:
            raise ConfigError(f"--{key.replace('_', '-')} {value:g}: give 0 or more")
    if options.rectangles and options.simplify_m:
        raise ConfigError("a rectangle has no corners to spare: give --rectangles or --simplify-m")


def _numbers(wanted: Sequence[str], known: Sequence[ClassLabel], path: Path) -> set[int] | None:
    """Return the numbers of classes that are named, None for all."""
    names = [one.name for one in known]
    found = set()
    for one in wanted:
        if one in names:
            found.add(names.index(one))
        elif one.isdecimal() and (not names or int(one) < len(names)):
            found.add(int(one))
        else:
            has = f"it has {' '.join(names)}" if names else "it names none: give their numbers"
            raise ConfigError(f"{path} has no class {one}: {has}")
    return found or None


def _scale(grid: GeoBox, options: VectorOptions) -> tuple[tuple[float, float], tuple[str, ...]]:
    """Return height and width of a pixel in metres."""
    size = pixel_size_m(grid)
    if size is not None:
        return size, ()
    taken = ", and metres are taken as pixels" if options.min_area_m2 or options.simplify_m else ""
    return (1.0, 1.0), (f"the raster has no GSD: areas are not known{taken}",)


def _regions(
    raster: ClassRaster,
    wanted: set[int] | None,
    smallest_px: int,
    progress: Callable[[int, int], None],
) -> Iterator[Region]:
    tracer = RegionTracer(UNLABELLED, smallest_px)
    height, width = raster.grid.shape
    rows = max(1, STRIP_PX // width)
    progress(0, height * width)
    for top in range(0, height, rows):
        window = Window(row_off=top, col_off=0, height=min(rows, height - top), width=width)
        values = raster.read(window)
        if wanted is not None:
            values[~np.isin(values, list(wanted))] = UNLABELLED
        yield from tracer.add(values)
        progress(window.row_stop * width, height * width)
    yield from tracer.finish()


def _order(regions: Iterator[Region]) -> list[Region]:
    """Return regions from the top, and from the left: in an order that no strip has a part in."""

    def first_pixel(one: Region) -> tuple[float, float]:
        corners = shapely.get_coordinates(one.polygon)
        top = float(corners[:, 1].min())
        return top, float(corners[corners[:, 1] == top, 0].min())

    return sorted(regions, key=first_pixel)


def _shaped(polygons: Sequence[Any], scale: tuple[float, float], options: VectorOptions) -> Shapes:
    """Return polygons in pixels as they are to be written, in pixels too."""
    shapes = np.array([shapely.normalize(one) for one in polygons], np.object_)
    if not len(shapes) or not (options.simplify_m or options.rectangles):
        return shapes
    metres = np.array(scale[::-1])
    on_ground = shapely.transform(shapes, lambda xy: xy * metres)
    if options.rectangles:
        changed = np.array([shapely.minimum_rotated_rectangle(one) for one in on_ground])
    else:
        changed = np.asarray(shapely.coverage_simplify(on_ground, options.simplify_m))
    return np.asarray(shapely.transform(changed, lambda xy: xy / metres))


def _table(values: Sequence[int], shapes: Shapes, names: Sequence[str], grid: GeoBox) -> Any:  # noqa: ANN401
    """Return a GeoDataFrame of polygons in the CRS of the grid."""
    import geopandas

    a, b, c, d, e, f, *_ = grid.affine
    laid = shapely.transform(shapes, lambda xy: xy @ [[a, d], [b, e]] + [c, f])
    frame = geopandas.GeoDataFrame(
        {
            "class_id": np.array(values, np.int32),
            "class_name": [names[one] if one < len(names) else str(one) for one in values],
        },
        geometry=list(np.atleast_1d(laid)),
        crs=None if grid.crs is None else grid.crs.to_wkt(),
    )
    frame.insert(2, "area_m2", _areas_m2(frame, grid))
    return frame


def _areas_m2(frame: Any, grid: GeoBox) -> NDArray[np.float64]:  # noqa: ANN401
    """Return the area of each polygon on the ground, in the equal-area CRS around the raster."""
    if pixel_size_m(grid) is None:
        return np.full(len(frame), np.nan)
    assert grid.crs is not None
    middle = grid.affine @ (grid.width / 2, grid.height / 2)
    to_degrees = Transformer.from_crs(grid.crs.to_wkt(), "OGC:CRS84", always_xy=True)
    lon, lat = to_degrees.transform(*middle)
    equal = f"+proj=laea +lat_0={lat:.6f} +lon_0={lon:.6f} +datum=WGS84"
    areas: NDArray[np.float64] = frame.to_crs(equal).area.to_numpy()
    return areas
