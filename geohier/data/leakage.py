"""Leakage between splits: ground that is labelled in train and again, or close by, in val.

What counts is where labels are, not how far images reach: two splits may well share one image. The
ground is compared in metres, whatever the CRS, so that another date, another file or another sensor
does not hide that the place is the same. Without a CRS only the files can be compared.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import STRtree

from geohier.data.labelled import LabelledPixels
from geohier.data.normalise import file_hash
from geohier.data.outline import Circle, are_near, labelled_outline, meeting, place_on
from geohier.errors import InputError
from geohier.geo.gsd import pixel_size_m

SHRUNK_PX = 0.25
"""Outlines are shrunk by this before they are compared: neighbours that touch do not overlap."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Nearness:
    """How close the labels of a train scene come to those of a val scene.

    Args:
        train: id of the train scene.
        val: id of the val scene.
        same_image: whether both have the same image.
        distance: between their labelled pixels, 0 where they overlap or touch.
        unit: of the distance: pixels where the image has no CRS.
        overlap: whether some ground is labelled in both.
    """

    train: str
    val: str
    same_image: bool
    distance: float
    unit: str
    overlap: bool

    def is_leak(self, buffer_m: float) -> bool:
        """Return whether the labels overlap, or would if they reached `buffer_m` farther."""
        return self.overlap or (self.unit == "m" and self.distance < buffer_m)

    @property
    def distance_text(self) -> str:
        """How far the labels are apart, and which scenes they are of."""
        apart = f"{self.distance:.3g}" if self.distance >= 0.01 else "0"
        return f"{apart} {self.unit} apart: {self.train} (train) and {self.val} (val)"

    def __str__(self) -> str:
        if self.overlap:
            return f"{self.train} (train) and {self.val} (val) label the same ground"
        return f"labels are {self.distance_text}"


def refuse_leakage(train: Sequence[LabelledPixels], val: Sequence[LabelledPixels]) -> None:
    """Check that no ground is labelled in both splits.

    Raises:
        InputError: some is; the message names the first scenes.
    """
    leaks = [one for one in nearnesses(train, val, within_m=0) if one.overlap]
    if leaks:
        raise InputError(f"{leakage_text(leaks)}: {CURE}")


CURE = (
    "what is learned there is judged there; exclude one, split anew with `geohier data split`, or "
    "set data.allow_overlap"
)


def leakage_text(leaks: Sequence[Nearness]) -> str:
    """Return one line that names the first of some leaks and counts the others."""
    more = f" (and {len(leaks) - 1} more pairs of scenes)" if len(leaks) > 1 else ""
    return f"{leaks[0]}{more}"


def nearnesses(
    train: Sequence[LabelledPixels], val: Sequence[LabelledPixels], *, within_m: float
) -> list[Nearness]:
    """Return the pairs of scenes whose labels are within a distance, or that share an image.

    Labels are read only of scenes whose images come that close.

    Args:
        train: scenes to learn from.
        val: scenes that judge.
        within_m: largest distance on the ground, in metres, of which to tell.

    Raises:
        RasterReadError: a scene cannot be read.
    """
    outline = cache(lambda one: labelled_outline(one))
    found = []
    for one, other, same in _close_pairs(train, val, within_m):
        pieces = outline(one), outline(other)
        if len(pieces[0]) and len(pieces[1]):
            near = _nearness(one, other, pieces, same_image=same)
            if same or near.overlap or near.distance <= within_m:
                found.append(near)
    return found


def _close_pairs(
    train: Sequence[LabelledPixels], val: Sequence[LabelledPixels], within_m: float
) -> Iterator[tuple[LabelledPixels, LabelledPixels, bool]]:
    """Yield pairs whose images are the same or near; the flag says which."""
    placed = [[one for one in some if _has_place(one)] for some in (train, val)]
    circles = [[Circle.around(one.geobox) for one in some] for some in placed]
    for at, near in meeting(circles[0], circles[1], within_m):
        one, other = placed[0][at], placed[1][near]
        same = _files(one) == _files(other)
        if same or are_near(one.geobox, other.geobox, within_m):
            yield one, other, same
    hashed = cache(lambda one: file_hash(*one.image_files))
    for one, other in product(
        *([one for one in some if not _has_place(one)] for some in (train, val))
    ):
        if one.shape == other.shape and hashed(one) == hashed(other):
            yield one, other, True


def _has_place(one: LabelledPixels) -> bool:
    return pixel_size_m(one.geobox) is not None


def _files(one: LabelledPixels) -> tuple[Path, ...]:
    return tuple(Path(path).resolve() for path in one.image_files)


def _nearness(
    one: LabelledPixels,
    other: LabelledPixels,
    pieces: tuple[NDArray[np.object_], NDArray[np.object_]],
    *,
    same_image: bool,
) -> Nearness:
    size = pixel_size_m(one.geobox)
    plane = size or (1.0, 1.0)
    grid = one.geobox if same_image else other.geobox
    there = place_on(pieces[0], one.geobox, one.geobox, plane)
    here = place_on(pieces[1], grid, one.geobox, plane)
    tree = STRtree(there)
    margin = SHRUNK_PX * min(*plane, *(pixel_size_m(grid) or plane))
    overlap = bool(tree.query(_shrunk(here, margin), predicate="intersects").size)
    return Nearness(
        train=one.scene.id,
        val=other.scene.id,
        same_image=same_image,
        distance=0.0 if overlap else _distance(tree, here),
        unit="px" if size is None else "m",
        overlap=overlap,
    )


def _distance(tree: STRtree, here: NDArray[np.object_]) -> float:
    if not len(here):
        return float("inf")
    _, distances = tree.query_nearest(here, return_distance=True, all_matches=False)
    return float(distances.min())


def _shrunk(shapes: NDArray[np.object_], by: float) -> NDArray[np.object_]:
    return np.asarray(shapely.buffer(shapes, -by, join_style="mitre"))
