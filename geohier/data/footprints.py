"""Scenes that lie on the same ground, whatever their CRS, date or file."""

from collections.abc import Sequence

import numpy as np
import shapely
from odc.geo.geobox import GeoBox

from geohier.data.labelled import LabelledPixels
from geohier.data.leakage import SHRUNK_PX
from geohier.data.normalise import file_hash
from geohier.data.outline import Circle, meeting, place_on
from geohier.geo.gsd import pixel_size_m


def on_same_ground(
    scenes: Sequence[LabelledPixels], others: Sequence[LabelledPixels]
) -> list[tuple[int, int]]:
    """Return the pairs, by index, of scenes whose footprints overlap.

    Neighbours that only touch do not. Scenes without a place on Earth are on the same ground if
    their files are the same.
    """
    placed = [
        [at for at, one in enumerate(some) if pixel_size_m(one.geobox) is not None]
        for some in (scenes, others)
    ]
    circles = [
        [Circle.around(some[at].geobox) for at in found]
        for some, found in zip((scenes, others), placed, strict=True)
    ]
    near = ((placed[0][at], placed[1][by]) for at, by in meeting(circles[0], circles[1], 0.0))
    found = [(at, by) for at, by in near if footprints_overlap(scenes[at], others[by])]
    return [*found, *_same_files(scenes, others)]


def footprints_overlap(one: LabelledPixels, other: LabelledPixels) -> bool:
    """Return whether the parts of two scenes that are in use share ground; both have a place."""
    size = pixel_size_m(one.geobox)
    assert size is not None
    margin = SHRUNK_PX * min(*size, *(pixel_size_m(other.geobox) or size))
    here = place_on(_parts(one), one.geobox, one.geobox, size)
    there = place_on(_parts(other), other.geobox, one.geobox, size)
    if not len(there):
        return False
    shrunk = shapely.buffer(shapely.union_all(there), -margin, join_style="mitre")
    return bool(shapely.intersects(shapely.union_all(here), shrunk))


def _parts(one: LabelledPixels) -> np.ndarray:
    if not one.scene.windows:
        return np.array([_box(one.geobox)], np.object_)
    return np.array(
        [shapely.box(w.col_off, w.row_off, w.col_stop, w.row_stop) for w in one.scene.windows],
        np.object_,
    )


def _box(grid: GeoBox) -> shapely.Polygon:
    return shapely.box(0, 0, grid.width, grid.height)


def _same_files(
    scenes: Sequence[LabelledPixels], others: Sequence[LabelledPixels]
) -> list[tuple[int, int]]:
    hashes = [
        [(at, file_hash(*one.image_files)) for at, one in enumerate(some)
         if pixel_size_m(one.geobox) is None]
        for some in (scenes, others)
    ]  # fmt: skip
    return [(at, by) for at, own in hashes[0] for by, its in hashes[1] if own == its]
