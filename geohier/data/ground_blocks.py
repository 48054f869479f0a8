"""Blocks of ground: squares that hold the same place in every scene that shows it.

Scenes that overlap, or nearly so, are cut along one grid: that of the first of them. So another
date of a block, or its continuation in the next sheet, is never parted from it. Where their grids
cannot be one, because they are in different CRS or turned, the scenes are one block as a whole.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from geohier.data.outline import Circle, are_near, meeting
from geohier.data.splits import edges_of
from geohier.geo.gsd import gsd_m
from geohier.geo.window import Window

SAME_DIRECTION = 1e-9
"""Turn, in pixels per pixel, below which two grids lie along the same lines."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroundGrid:
    """A grid of blocks over scenes that lie together.

    Args:
        scenes: indexes of the scenes.
        places: row and column of each scene's first corner, and pixels of the grid per pixel of the
            scene, down and right; `(N, 4)`.
        shapes: rows and columns of each scene.
        rows: edges between blocks from the top, in pixels of the grid.
        columns: edges from the left.
    """

    scenes: tuple[int, ...]
    places: NDArray[np.float64]
    shapes: tuple[tuple[int, int], ...]
    rows: tuple[int, ...]
    columns: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of blocks."""
        return len(self.rows) - 1, len(self.columns) - 1

    def blocks_in(self, scene: int, *, reach_px: int = 0) -> Iterator[tuple[int, Window]]:
        """Yield the number of each block that a scene shows, and the window that it is there.

        Windows may reach beyond the scene; a block smaller than a pixel has none.

        Args:
            scene: index of the scene.
            reach_px: blocks up to so many pixels beyond the scene are yielded too.
        """
        at = self.scenes.index(scene)
        axes = zip((self.rows, self.columns), self.places[at, :2], self.places[at, 2:], strict=True)
        rows, columns = (
            _spans(np.rint((np.array(edges) - start) / step).astype(int), length, reach_px)
            for (edges, start, step), length in zip(axes, self.shapes[at], strict=True)
        )
        for row, top, height in rows:
            for column, left, width in columns:
                number = row * self.shape[1] + column
                yield number, Window(row_off=top, col_off=left, height=height, width=width)


def _spans(edges: NDArray[np.int64], length: int, reach_px: int) -> list[tuple[int, int, int]]:
    """Return number, start and length of the pieces between edges that reach an axis."""
    return [
        (at, int(start), int(stop - start))
        for at, (start, stop) in enumerate(pairwise(edges))
        if start < stop and stop > -reach_px and start < length + reach_px
    ]


def ground_grids(
    boxes: Sequence[GeoBox], *, block_px: int, buffer_px: int
) -> tuple[GroundGrid, ...]:
    """Return grids of blocks for scenes, each of which is in one of them.

    Args:
        boxes: grids of the scenes.
        block_px: side that blocks should have, in pixels of the first scene that lies there.
        buffer_px: scenes that are closer than this to each other lie together.
    """
    return tuple(
        _grid_over(group, [boxes[at] for at in group], block_px)
        for group in _groups(boxes, buffer_px)
    )


def _groups(boxes: Sequence[GeoBox], buffer_px: int) -> list[tuple[int, ...]]:
    """Return the indexes of scenes that lie together, each in the order in which they came."""
    placed = [(at, gsd) for at, box in enumerate(boxes) if (gsd := gsd_m(box)) is not None]
    circles = [Circle.around(boxes[at]) for at, _ in placed]
    within_m = buffer_px * max((gsd for _, gsd in placed), default=0.0)
    links = [
        (placed[one][0], placed[other][0])
        for one, other in meeting(circles, circles, within_m)
        if one < other and are_near(boxes[placed[one][0]], boxes[placed[other][0]], within_m)
    ]
    one, other = np.array(links, np.int64).reshape(-1, 2).T
    graph = coo_array((np.ones(len(one), np.int8), (one, other)), shape=(len(boxes), len(boxes)))
    count, group = connected_components(graph, directed=False)
    return [tuple(np.flatnonzero(group == number).tolist()) for number in range(count)]


def _grid_over(scenes: tuple[int, ...], boxes: Sequence[GeoBox], block_px: int) -> GroundGrid:
    first = boxes[0]
    sizes = tuple((int(box.shape[0]), int(box.shape[1])) for box in boxes)
    turns = [~first.transform @ box.transform for box in boxes]
    alike = all(
        box.crs == first.crs
        and max(abs(turn.b), abs(turn.d)) < SAME_DIRECTION
        and min(turn.a, turn.e) > 0
        for box, turn in zip(boxes, turns, strict=True)
    )
    if not alike:
        height, width = (max(box.shape[axis] for box in boxes) for axis in (0, 1))
        places = np.tile([0.0, 0.0, 1.0, 1.0], (len(boxes), 1))
        return GroundGrid(
            scenes=scenes, places=places, shapes=sizes, rows=(0, height), columns=(0, width)
        )
    places = np.array([(turn.f, turn.c, turn.e, turn.a) for turn in turns])
    shapes = np.array([box.shape for box in boxes], np.float64)
    starts = np.floor(places[:, :2].min(axis=0)).astype(int)
    stops = np.ceil((places[:, :2] + shapes * places[:, 2:]).max(axis=0) - 1e-6).astype(int)
    rows, columns = (
        tuple(int(start) + edge for edge in edges_of(int(stop - start), block_px))
        for start, stop in zip(starts, stops, strict=True)
    )
    return GroundGrid(scenes=scenes, places=places, shapes=sizes, rows=rows, columns=columns)
