"""One pass over a labelled scene, from the top, in strips that fit into memory."""

from collections.abc import Callable, Iterator

from geohier.data.labelled import LabelledPixels
from geohier.geo.window import Window, row_strips

STRIP_BYTES = 2**26
"""Bytes of image that one strip may hold."""

MOST_ROWS = 512

type OnPixels = Callable[[int, int], None]
"""Told how many pixels are done, and how many there are."""


def labelled_strips(one: LabelledPixels) -> Iterator[Window]:
    """Yield strips of full width, without gaps, over the rows that belong to a scene's split."""
    height, width = one.shape
    parts = one.scene.windows
    top = max(0, min((part.row_off for part in parts), default=0))
    stop = min(height, max((part.row_stop for part in parts), default=height))
    bytes_per_row = width * len(one.bands) * one.dtype.itemsize
    rows = min(MOST_ROWS, max(1, STRIP_BYTES // bytes_per_row))
    for strip in row_strips(max(0, stop - top), width, rows):
        yield strip.shifted(rows=top)
