"""Polygons of the regions of a raster of numbers, strip by strip."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import rasterio.features
import shapely
from affine import Affine
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from shapely import LinearRing, Polygon

type Numbers = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Region:
    """Pixels of one number that hang together by their edges.

    Args:
        value: their number.
        polygon: their outline, holes included, in pixels: x to the right, y down. It has a corner
            only where its outline turns.
    """

    value: int
    polygon: Polygon


class RegionTracer:
    """Traces the regions of a raster that is handed over from its top, in strips of any height.

    What reaches the last row of a strip may go on in the next one, so it stays open until then. The
    regions do not depend on how the raster was cut.

    Args:
        nodata: number that belongs to no region.
        smallest_px: regions of fewer pixels are left out.

    Example:
        >>> tracer = RegionTracer(nodata=-1)
        >>> [one.value for one in tracer.add(np.array([[7, 7, 5], [7, 7, -1]], np.int32))]
        [5]
        >>> [(one.value, one.polygon.area) for one in tracer.finish()]
        [(7, 4.0)]
    """

    def __init__(self, nodata: int, smallest_px: int = 1) -> None:
        self.nodata = nodata
        self.smallest_px = smallest_px
        self._row = 0
        self._values = np.zeros(0, np.int32)
        self._pieces: list[list[Polygon]] = []
        self._above: Numbers | None = None
        self._of_above = np.zeros(0, np.int64)

    def add(self, strip: Numbers) -> Iterator[Region]:
        """Take the next strip `(H, W)`, and return the regions that it closed."""
        numbers, values = label_regions(strip)
        pieces = [*self._pieces, *self._outlines(strip, numbers, len(values))]
        values = np.concatenate([self._values, values])
        group = self._joined(strip, numbers, len(values))
        opened = len(self._pieces)
        self._row += len(strip)
        last = np.where(strip[-1] == self.nodata, -1, group[numbers[-1] + opened])
        return self._closed(group, values, pieces, last, strip[-1])

    def finish(self) -> Iterator[Region]:
        """Return the regions that reach the last row."""
        pieces, self._pieces = self._pieces, []
        return self._regions(zip(self._values.tolist(), pieces, strict=True))

    def _outlines(self, strip: Numbers, numbers: Numbers, count: int) -> list[list[Polygon]]:
        """Return the outline of each region of a strip; none of what is nodata or too small."""
        sizes = np.bincount(numbers.ravel(), minlength=count)
        wanted = sizes >= self.smallest_px
        wanted[numbers[[0, -1]]] = True  # it may go on beyond the strip
        mask = (strip != self.nodata) & wanted[numbers]
        found: list[list[Polygon]] = [[] for _ in range(count)]
        place = Affine.translation(0, self._row)
        for outline, number in rasterio.features.shapes(numbers, mask, transform=place):
            exterior, *holes = outline["coordinates"]
            found[int(number)].append(Polygon(exterior, holes))
        return found

    def _joined(self, strip: Numbers, numbers: Numbers, count: int) -> NDArray[np.int32]:
        """Return the group of each open region and each one of a strip: what hangs together."""
        links = np.zeros((2, 0), np.int64)
        if self._above is not None:
            same = (self._above == strip[0]) & (strip[0] != self.nodata)
            links = np.stack([self._of_above[same], numbers[0][same] + len(self._pieces)])
        graph = coo_array((np.ones(links.shape[1], np.int8), tuple(links)), (count, count))
        group: NDArray[np.int32]
        _, group = connected_components(graph, directed=False)
        return group

    def _closed(
        self,
        group: NDArray[np.int32],
        values: Numbers,
        pieces: list[list[Polygon]],
        last: NDArray[np.int32],
        above: Numbers,
    ) -> Iterator[Region]:
        """Keep the groups that reach the last row, and return the others."""
        joined: list[list[Polygon]] = [[] for _ in range(int(group.max(initial=-1)) + 1)]
        for at, some in zip(group.tolist(), pieces, strict=True):
            joined[at] += some
        of_group = np.zeros(len(joined), np.int32)
        of_group[group] = values
        kept = np.unique(last[last >= 0])
        place = np.full(len(joined), -1, np.int64)
        place[kept] = np.arange(len(kept))
        self._above = above.copy()
        self._of_above = np.where(last >= 0, place[last], -1)
        self._values, self._pieces = of_group[kept], [joined[at] for at in kept]
        gone = np.flatnonzero(place < 0).tolist()
        return self._regions((int(of_group[at]), joined[at]) for at in gone)

    def _regions(self, closed: Iterator[tuple[int, list[Polygon]]]) -> Iterator[Region]:
        for value, pieces in closed:
            if pieces:
                polygon = _merged(pieces)
                if polygon.area >= self.smallest_px:
                    yield Region(value, polygon)


def label_regions(values: Numbers) -> tuple[Numbers, Numbers]:
    """Number the regions of equal values `(H, W)` that hang together by edges, from 0.

    Runs of equal values along rows are linked where they meet one below: there are far fewer of
    them than pixels.

    Returns:
        The number of each pixel's region, `(H, W)`; the value of each region.
    """
    starts = np.ones(values.shape, np.bool_)
    starts[:, 1:] = values[:, 1:] != values[:, :-1]
    run = (np.cumsum(starts) - 1).astype(np.int32).reshape(values.shape)
    meet = (values[1:] == values[:-1]) & (starts[1:] | starts[:-1])
    links = (np.ones(int(meet.sum()), np.int8), (run[:-1][meet], run[1:][meet]))
    runs = int(starts.sum())
    count, region = connected_components(coo_array(links, (runs, runs)), directed=False)
    of_region = np.empty(count, np.int32)
    of_region[region] = values[starts]
    return region.astype(np.int32)[run], of_region


def _merged(pieces: Sequence[Polygon]) -> Polygon:
    """Return the union of pieces of one region, with a corner only where its outline turns."""
    if len(pieces) == 1:
        return pieces[0]
    union = shapely.union_all(pieces)
    assert isinstance(union, Polygon)
    return Polygon(_turns(union.exterior), [_turns(hole) for hole in union.interiors])


def _turns(ring: LinearRing) -> list[tuple[float, ...]]:
    corners = shapely.get_coordinates(ring)[:-1]
    before, after = corners - np.roll(corners, 1, 0), np.roll(corners, -1, 0) - corners
    turns = before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]
    return [tuple(corner) for corner in corners[turns].tolist()]
