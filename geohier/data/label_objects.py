"""The objects of the fit area: connected regions of a class, found without holding a scene.

Windows are labelled one after the other; what meets along their seams is one object.
"""

from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from geohier.data.fit_labels import WINDOW_PX, FitLabels
from geohier.errors import LabelError

MOST_PIECES = 4_000_000
"""Pieces of objects that are kept, 100 MB: more are no objects but noise."""

TOUCHING = np.ones((3, 3), np.bool_)
"""Pixels of one object share an edge or a corner."""

type Ints = NDArray[np.int64]


def find_objects(labels: FitLabels, classes: Collection[int], side: int = WINDOW_PX) -> Ints:
    """Return scene, row and column `(N, 3)` of a pixel in the midst of each object.

    Args:
        labels: labels of the fit area.
        classes: indexes of the classes that are objects.
        side: side of the windows that are read, in pixels.

    Raises:
        LabelError: there are none, or so many that the labels must be noise.
    """
    found = [_of_scene(labels, at, classes, side) for at in range(len(labels.fields))]
    objects = np.concatenate(found)
    if not len(objects):
        raise LabelError(
            "the fit area holds no pixel of the classes in chips.object_classes: name others, or "
            "use another chips.sampler"
        )
    return objects


@dataclass(slots=True)
class _Pieces:
    """Pieces of objects: pixels, and row and column of the middle one; and which ones meet."""

    found: list[Ints] = field(default_factory=lambda: [np.empty((0, 3), np.int64)])
    meeting: list[Ints] = field(default_factory=lambda: [np.empty((0, 2), np.int64)])
    count: int = 0

    def objects(self) -> Ints:
        """Return row and column `(N, 2)` of the middle of the largest piece of each object."""
        pieces, meeting = np.concatenate(self.found), np.concatenate(self.meeting)
        graph = coo_array((np.ones(len(meeting), np.int8), meeting.T), (self.count, self.count))
        _, of = connected_components(graph, directed=False)
        order = np.lexsort((-pieces[:, 0], of))  # the largest piece of each object comes first
        _, first = np.unique(of[order], return_index=True)
        return pieces[order[first], 1:]


def _of_scene(labels: FitLabels, scene: int, classes: Collection[int], side: int) -> Ints:
    pieces = _Pieces()
    width = labels.fields[scene].width
    nothing = np.full((2, width + 2), -1)  # piece and class per pixel, a pixel more at either end
    above = below = left = nothing
    for window, used in labels.windows(scene, side):
        if window.col_off == 0:
            above, below = below, nothing.copy()
        shape = (window.height, window.width)
        kinds = labels.read(scene, window).astype(np.int64) if used else np.full(shape, -1)
        ids = _number_pieces(kinds, classes, pieces, (window.row_off, window.col_off))
        here = np.stack((ids, kinds))  # (2, H, W)
        start, stop = window.col_off, window.col_off + window.width
        _note_meeting(pieces, above[:, start : stop + 2], here[:, 0])
        if window.col_off:
            _note_meeting(pieces, left, here[:, :, 0])
        below[:, start + 1 : stop + 1] = here[:, -1]
        left = np.pad(here[:, :, -1], ((0, 0), (1, 1)), constant_values=-1)
    middles = pieces.objects()
    return np.insert(middles, 0, scene, axis=1)


def _number_pieces(
    kinds: Ints, classes: Collection[int], pieces: _Pieces, corner: tuple[int, int]
) -> Ints:
    """Return the number of the piece that each pixel of a window belongs to, -1 for none."""
    ids = np.full(kinds.shape, -1)
    for index in classes:
        regions, count = label(kinds == index, TOUCHING)
        if count:
            inside = regions > 0
            ids[inside] = regions[inside] + (pieces.count - 1)
            pieces.found.append(_measured(regions, count) + np.array([0, *corner]))
            pieces.count += count
    if pieces.count > MOST_PIECES:
        raise LabelError(
            f"the labels fall into more than {MOST_PIECES} objects: they look like noise; use "
            "another chips.sampler, or name fewer chips.object_classes"
        )
    return ids


def _measured(regions: NDArray[np.int32], count: int) -> Ints:
    """Return pixels, and row and column of the middle pixel, of each region of a window."""
    flat = regions.ravel()
    inside = np.flatnonzero(flat)
    by_region = inside[np.argsort(flat[inside], kind="stable")]
    sizes = np.bincount(flat, minlength=count + 1)[1:]
    middle = by_region[np.cumsum(sizes) - sizes + sizes // 2]
    return np.stack((sizes, *np.divmod(middle, regions.shape[1])), axis=1)


def _note_meeting(pieces: _Pieces, before: Ints, after: Ints) -> None:
    """Note which pieces touch across a seam, at an edge or a corner of a pixel.

    Each side is piece and class per pixel: `(2, N + 2)` before, a pixel more at either end, and
    `(2, N)` after.
    """
    for shift in range(3):
        side = before[:, shift : shift + after.shape[1]]
        meet = (side[0] >= 0) & (after[0] >= 0) & (side[1] == after[1])
        if meet.any():
            pieces.meeting.append(np.unique(np.stack((side[0], after[0]), axis=1)[meet], axis=0))
