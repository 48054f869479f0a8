"""Views: the samples of learning without labels, one or two of the same ground.

The second view has another GSD, by resampling the scene's own pixels, and is of another date where
another scene lies on the same ground. Places that both see are told in each one's coordinates.
"""

import math
from collections.abc import Sequence
from typing import TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision import tv_tensors

from geohier.config.schema import TrainConfig
from geohier.data.augment import augmentation
from geohier.data.chips import chips_per_epoch, mean_and_std
from geohier.data.labelled import inside
from geohier.data.resample import resample_image
from geohier.data.samples import Samples
from geohier.data.sampling import (
    Place,
    RandomPlaces,
    grid_places,
    grid_size,
    sample_rng,
)
from geohier.data.unlabelled import PretrainingData
from geohier.geo.window import Window

POINTS = 8
"""Places along a side of the shared ground that are compared."""

FARTHEST = 0.25
"""Part of the first view's side by which the middle of the second may be off."""

MOST_JUDGED = 64
"""Views that judge an epoch: more would tell the same, and take as long as learning."""

type Points = NDArray[np.float64]


class Views(TypedDict):
    """One sample: V views of the same ground, V being 1 or 2.

    Shape:
        - image: `(V, C, H, W)` float32, normalised, 0 where there is no pixel
        - valid: `(V, 1, H, W)` bool, the pixels that are learnt from, or judge
        - points: `(V, P, 2)` float32, places that all views share, x before y, from -1 to 1
        - seen: `(P,)` bool, whether a place is valid in all views
    """

    image: Tensor
    valid: Tensor
    points: Tensor
    seen: Tensor


class ViewDataset(Samples[Views]):
    """Cuts views at places. What sample `i` of an epoch is depends on (seed, epoch, i) alone.

    Args:
        data: scenes and statistics.
        config: length, augmentation, views, seed.
        places: where to cut: drawn at random and changed at random, or fixed and left as they are.
        size_px: side of a view.
    """

    def __init__(
        self,
        data: PretrainingData,
        config: TrainConfig,
        places: RandomPlaces | Sequence[Place],
        size_px: int,
    ) -> None:
        super().__init__(chips_per_epoch(config, places))
        self.data = data
        self.config = config
        self.places = places
        self.size_px = size_px
        self.statistics = [mean_and_std(bands) for bands in data.normalised_by]
        still = {"band_dropout": 0.0, "flips": False, "rotations": False}  # those come later
        self.augment = augmentation(config.augment.model_copy(update=still))

    def __getitem__(self, index: int) -> Views:
        if not 0 <= index < self.length:
            raise IndexError(index)
        if not isinstance(self.places, RandomPlaces):
            place = self.places[index]
            nowhere = np.zeros((0, 2))
            return _together([(*self._cut(place), nowhere)])
        rng = sample_rng(self.config.training.seed, self.epoch, index)
        place = self.places.draw(rng)
        if not self.config.pretraining.contrast:
            return _together([self._changed(place, np.zeros((0, 2)), rng)])
        other, points = self._second(place, rng)
        both = zip((place, other), points, strict=True)
        return _together([self._changed(one, where, rng) for one, where in both])

    def _second(
        self, place: Place, rng: np.random.Generator
    ) -> tuple[Place, tuple[Points, Points]]:
        """Draw the place of a second view, and points that both views see, in pixels of each."""
        twins = self.data.twins[place.scene] or (place.scene,)
        scene = int(twins[rng.integers(len(twins))])
        onto = ~self.data.scenes[scene].geobox.affine @ self.data.scenes[place.scene].geobox.affine
        first, field = place.window, self.data.fit[scene]
        low, high = self.config.pretraining.gsd_range
        coarser = math.exp(rng.uniform(math.log(low), math.log(high)))
        zoom = coarser * first.height / (self.size_px * self.data.fit[place.scene].step[0])
        off = rng.uniform(-FARTHEST, FARTHEST, 2) * (first.height, first.width)
        row = first.row_off + first.height / 2 + off[0]
        col = first.col_off + first.width / 2 + off[1]
        centre = onto @ (col, row)
        sides = [max(1, round(self.size_px * step * zoom)) for step in field.step]
        window = Window(
            row_off=_held(round(centre[1] - sides[0] / 2), sides[0], field.height),
            col_off=_held(round(centre[0] - sides[1] / 2), sides[1], field.width),
            height=sides[0],
            width=sides[1],
        )
        here = _shared_points(first, window, ~onto)
        there = np.column_stack(onto @ here.T)
        second = Place(scene=scene, window=window, labelled=field.parts, surroundings=False)
        return second, (here, there)

    def _changed(
        self, place: Place, points: Points, rng: np.random.Generator
    ) -> tuple[Tensor, Tensor, Points]:
        """Return a view with its random changes, and where points of the scene lie in it."""
        image, valid = self._cut(place)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(int(rng.integers(2**62)))
            image = self.augment(tv_tensors.Image(image)).as_subclass(Tensor)
        window = place.window
        corner = (window.col_off, window.row_off)
        where = (points - corner) / (window.width, window.height) * 2 - 1
        mirror = bool(rng.random() < 0.5) and self.config.augment.flips
        turns = int(rng.integers(4)) if self.config.augment.rotations else 0
        if mirror:
            image, valid, where = image.flip(-1), valid.flip(-1), where * (-1, 1)
        image, valid = (one.rot90(turns, dims=(-2, -1)) for one in (image, valid))
        for _ in range(turns):
            where = np.column_stack((where[:, 1], -where[:, 0]))
        return image.where(valid, 0.0), valid, where

    def _cut(self, place: Place) -> tuple[Tensor, Tensor]:
        """Return a view as it is, and which of its pixels count."""
        cut = self.data.scenes[place.scene].read(place.window)
        usable = torch.from_numpy(cut.valid & inside(place.window, place.labelled))
        seen = torch.from_numpy(cut.valid) if place.surroundings else usable
        kind = np.uint8 if cut.values.dtype == np.uint8 else np.float32
        values = torch.from_numpy(np.ascontiguousarray(cut.values, kind))
        image, valid = resample_image(values, seen, self.size_px)
        if place.surroundings:
            _, counts = resample_image(values[:1], usable, self.size_px)
            counts &= valid
        else:
            counts = valid
        mean, std = self.statistics[place.scene]
        image = (image - mean).div_(std)
        return image.where(valid, 0.0), counts[None]


def _together(views: list[tuple[Tensor, Tensor, Points]]) -> Views:
    images, valid, points = zip(*views, strict=True)
    seen = np.ones(len(points[0]), np.bool_)
    for one, where in zip(valid, points, strict=True):
        seen &= _is_valid(one[0].numpy(), where)
    return Views(
        image=torch.stack(images),
        valid=torch.stack(valid),
        points=torch.from_numpy(np.stack(points)).float(),
        seen=torch.from_numpy(seen),
    )


def _is_valid(valid: NDArray[np.bool_], points: Points) -> NDArray[np.bool_]:
    """Return which points, from -1 to 1, lie on a valid pixel."""
    size = valid.shape[0]
    at = np.floor((points + 1) / 2 * size).astype(int)
    held = at.clip(0, size - 1)
    return np.asarray((at == held).all(axis=1) & valid[held[:, 1], held[:, 0]])


def _shared_points(first: Window, second: Window, back: "NDArray[np.float64]") -> Points:
    """Return a grid of points in both windows, in pixels of the first one's scene, x before y.

    Args:
        first: window of the first view.
        second: window of the second view, in its scene.
        back: from pixels of that scene to those of the first.
    """
    corners = [back @ (x, y) for x in (second.col_off, second.col_stop)
               for y in (second.row_off, second.row_stop)]  # fmt: skip
    xs, ys = zip(*corners, strict=True)
    left, right = max(first.col_off, min(xs)), min(first.col_stop, max(xs))
    top, bottom = max(first.row_off, min(ys)), min(first.row_stop, max(ys))
    shares = (np.arange(POINTS) + 0.5) / POINTS
    grid = np.meshgrid(left + shares * (right - left), top + shares * (bottom - top))
    return np.stack([axis.ravel() for axis in grid], axis=1)


def _held(start: int, length: int, limit: int) -> int:
    """Move a span that would overhang an axis back onto it; too long ones are centred."""
    if length >= limit:
        return (limit - length) // 2
    return min(max(start, 0), limit - length)


def fit_views(data: PretrainingData, config: TrainConfig) -> ViewDataset:
    """Return the random views that are learnt from."""
    chips = config.chips
    places = RandomPlaces(data.fit, chips.size_px, config.augment.scale, chips.scenes)
    return ViewDataset(data, config, places, chips.size_px)


def choose_views(data: PretrainingData, config: TrainConfig) -> ViewDataset:
    """Return views that judge the epochs: of the choose blocks all, or some spread evenly."""
    size_px = grid_size(data.choose, config.chips.size_px, config.model.side_multiple)
    places = grid_places(data.choose, size_px)
    kept = np.linspace(0, len(places) - 1, min(MOST_JUDGED, len(places))).round().astype(int)
    return ViewDataset(data, config, [places[at] for at in kept.tolist()], size_px)
