"""The pixels at places: only windows around them are read, whatever the size of the raster."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from geohier.errors import LabelError
from geohier.geo.window import Window
from geohier.raster.files import shown
from geohier.studies.feature_raster import FeatureRaster
from geohier.studies.places import Places

CELL_PX = 256
"""Side of the windows that are read."""

CELLS_PER_AXIS = 64
CELLS_PER_PLACE = 64
"""Windows that are looked at, and read, of one place: of a large one, some spread over it."""

MOST_PIXELS = 16_384
"""Pixels that all places keep together; more only where there are more places."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacePixels:
    """Features at places.

    Args:
        features: standardised.
        places: number of the place that each pixel belongs to.
        notes: what was left out.

    Shape:
        - features: `(N, C)`, float32
        - places: `(N,)`
    """

    features: NDArray[np.float32]
    places: NDArray[np.int64]
    notes: tuple[str, ...]


def pixels_at(places: Places, raster: FeatureRaster, most: int = MOST_PIXELS) -> PlacePixels:
    """Read the features at places; pixels without data are left out and counted.

    Of large polygons, pixels drawn evenly are kept, as many of each: a draw that depends on the
    place of a pixel alone.

    Raises:
        LabelError: no place has a valid pixel inside the raster.
    """
    found = _Kept(max(1, most // len(places)), len(raster.indexes))
    nodata, seen, unread = 0, np.zeros(len(places), np.bool_), set[Window]()
    for window in _windows(places, raster):
        place, valid, values, lost = _read(places, raster, window)
        unread.update(lost)
        nodata += int((~valid).sum())
        seen[place] = True
        found.add(window, place[valid], values[:, valid])
    features, of = found.values, found.places
    if not len(of):
        raise LabelError(
            f"{shown(places.path)}: none of its {len(places)} places has a valid pixel of a class "
            f"in {raster.source.name}: check its CRS and place"
        )
    notes = _notes(places, raster, seen, of, nodata, len(unread), found.dropped)
    return PlacePixels(features=raster.standardised(features), places=of, notes=tuple(notes))


class _Kept:
    """Pixels of places as they are found, of each place those with the smallest random keys."""

    def __init__(self, most: int, bands: int) -> None:
        self._most = most
        self._keys = np.empty(0)
        self.places = np.empty(0, np.int64)
        self.values = np.empty((bands, 0), np.float32)
        self.dropped = 0

    def add(self, window: Window, places: NDArray[np.int64], values: NDArray[np.generic]) -> None:
        keys = np.random.default_rng((window.row_off, window.col_off)).random(len(places))
        self._keys = np.concatenate([self._keys, keys])
        self.places = np.concatenate([self.places, places])
        self.values = np.concatenate([self.values, values.astype(np.float32)], axis=1)
        kept = first_of_each(self.places, self._keys, self._most)
        self.dropped += len(self.places) - len(kept)
        self._keys, self.places = self._keys[kept], self.places[kept]
        self.values = self.values[:, kept]


def first_of_each(
    groups: NDArray[np.int64], keys: NDArray[np.float64], most: int
) -> NDArray[np.int64]:
    """Return where the smallest keys of each group are, `most` of each, in their order.

    Example:
        >>> first_of_each(np.array([0, 0, 1, 0]), np.array([0.3, 0.1, 0.9, 0.2]), 2).tolist()
        [1, 2, 3]
    """
    order = np.lexsort((keys, groups))
    starts = np.flatnonzero(np.diff(groups[order], prepend=-1))
    rank = np.arange(len(order)) - np.repeat(starts, np.diff(starts, append=len(order)))
    return np.sort(order[rank < most])


def _windows(places: Places, raster: FeatureRaster) -> Iterator[Window]:
    """Yield the windows that places with a class lie in, each once, from the top."""
    height, width = raster.source.geobox.shape
    shapes = places.features.shapes[places.classes >= 0]
    cells = {cell for shape in shapes for cell in _cells(shape, height, width)}
    for row, column in sorted(cells):
        yield Window(
            row_off=row * CELL_PX, col_off=column * CELL_PX, height=CELL_PX, width=CELL_PX
        ).clipped(height=height, width=width)


def _cells(shape: shapely.Geometry, height: int, width: int) -> list[tuple[int, int]]:
    """Return rows and columns of the cells of a raster in which a shape lies."""
    left, top, right, bottom = shapely.bounds(shape).tolist()
    rows, columns = _between(top, bottom, height), _between(left, right, width)
    if len(rows) * len(columns) == 1:
        return [(int(rows[0]), int(columns[0]))]
    corners = np.stack(np.meshgrid(columns, rows), axis=-1).reshape(-1, 2)
    boxes = shapely.box(*(corners * CELL_PX).T, *((corners + 1) * CELL_PX).T)
    corners = corners[shapely.intersects(shape, boxes)]
    some = np.linspace(0, len(corners) - 1, min(len(corners), CELLS_PER_PLACE)).round()
    return [(int(row), int(column)) for column, row in corners[some.astype(int)]]


def _between(low: float, high: float, length: int) -> NDArray[np.int64]:
    """Return the cells along an axis from `low` to `high` px, evenly spread where they are many."""
    first, last = max(low, 0) // CELL_PX, min(high, length - 1) // CELL_PX
    count = max(0, int(last - first) + 1)
    return np.linspace(first, last, min(count, CELLS_PER_AXIS)).round().astype(np.int64)


def _read(
    places: Places, raster: FeatureRaster, window: Window
) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.generic], tuple[Window, ...]]:
    """Return place `(N,)`, validity and values `(C, N)` of the pixels of a window with a class.

    Blocks that cannot be read are returned too.
    """
    numbers = places.features.read(window)
    at = ~np.isnan(numbers)
    at[at] = places.classes[numbers[at].astype(np.int64)] >= 0
    pixels, failures = raster.reader.read_salvaged(window)
    valid = pixels.valid.all(axis=0)[at]
    return numbers[at].astype(np.int64), valid, pixels.values[:, at], failures


def _notes(
    places: Places,
    raster: FeatureRaster,
    seen: NDArray[np.bool_],
    kept: NDArray[np.int64],
    nodata: int,
    unread: int,
    dropped: int,
) -> Iterator[str]:
    name = shown(places.path)
    inside = places.inside(raster.source.geobox)
    if not inside.all():
        outside = int((~inside).sum())
        yield f"{name}: {outside} of {len(places)} places lie outside the raster: left out"
    covered = int((inside & (places.classes >= 0) & ~seen).sum())
    if covered:
        yield f"{name}: {covered} places have no pixel that later ones leave them: left out"
    if nodata:
        lost = int((seen & ~np.isin(np.arange(len(places)), kept)).sum())
        yield f"{name}: {nodata} pixels at places are nodata: left out ({lost} places wholly)"
    if unread:
        yield f"{name}: {unread} blocks at places cannot be read: their pixels are left out"
    if dropped:
        yield f"{name}: of large places some of the pixels are taken, {len(kept)} in all"
