"""Chips: the samples of a training run, cut, brought to one GSD, normalised and augmented."""

from collections.abc import Sequence
from typing import TypedDict

import numpy as np
import torch
from torch import Tensor
from torchvision import tv_tensors

from geohier.config.schema import TrainConfig
from geohier.data.augment import augmentation
from geohier.data.curriculum import paced
from geohier.data.labelled import inside as inside_of
from geohier.data.labels import IGNORE_INDEX
from geohier.data.prepare import TrainingData
from geohier.data.resample import resample_labels
from geohier.data.samplers import HardPlaces, fit_places
from geohier.data.samples import Samples
from geohier.data.sampling import (
    Place,
    RandomPlaces,
    grid_places,
    grid_size,
    sample_rng,
)
from geohier.data.stacks import blanked, filled_up, resample_groups
from geohier.geo.bands import BandSet
from geohier.raster.band_choice import BandChoice


class Chip(TypedDict):
    """One sample.

    Shape:
        - image: `(C, H, W)` float32, normalised by the statistics of the train scenes or of its own
          scene, 0 where invalid; of a stack of dates as of `data.stacks.filled_up`
        - mask: `(H, W)` int64 class indexes, IGNORE_INDEX where unlabelled or invalid
        - scene: id of the scene
    """

    image: Tensor
    mask: Tensor
    scene: str


class ChipDataset(Samples[Chip]):
    """Cuts chips at places. What chip `i` of an epoch is depends on (seed, epoch, i) alone.

    Args:
        data: scenes and statistics.
        config: length, augmentation, seed.
        places: where to cut: drawn at random and augmented, or fixed and left as they are.
        size_px: side of a chip.
    """

    def __init__(
        self,
        data: TrainingData,
        config: TrainConfig,
        places: RandomPlaces | Sequence[Place],
        size_px: int,
    ) -> None:
        super().__init__(chips_per_epoch(config, places))
        self.scenes = data.train
        self.size_px = size_px
        self.seed = config.training.seed
        self.places = places
        self.statistics = [mean_and_std(bands) for bands in data.normalised_by]
        self.augment = augmentation(config.augment)
        self.most_dates = data.most_dates
        self.pixel_m = None if data.gsd_m is None else sum(data.gsd_m) / 2
        """Side of a chip's pixel on the ground, in metres, mean of the scenes'."""

    def set_epoch(self, epoch: int) -> None:
        """Start an epoch; workers that are already running see it too."""
        super().set_epoch(epoch)
        if isinstance(self.places, RandomPlaces):
            self.places.set_epoch(epoch)

    def __getitem__(self, index: int) -> Chip:
        if not 0 <= index < self.length:
            raise IndexError(index)
        if not isinstance(self.places, RandomPlaces):
            place = self.places[index]
            image, mask, valid = self._cut(place)
        else:
            rng = sample_rng(self.seed, self.epoch, index)
            place = self.places.draw(rng)
            image, mask, valid = self._augmented(*self._cut(place), int(rng.integers(2**62)))
        scene = self.scenes[place.scene]
        return Chip(
            image=self._shown(image, valid, scene.choice),
            mask=mask.where(valid.any(0), IGNORE_INDEX).long(),
            scene=scene.scene.id,
        )

    def _shown(self, image: Tensor, valid: Tensor, choice: BandChoice) -> Tensor:
        """Return an image that is 0 where its groups have seen nothing."""
        if self.most_dates is None:
            return blanked(image, valid, choice.groups)
        return filled_up(image, valid, choice.dates, self.most_dates)

    def _cut(self, place: Place) -> tuple[Tensor, Tensor, Tensor]:
        """Return image, class indexes and validity `(G, H, W)` of a place, at a chip's size."""
        cut = self.scenes[place.scene].read(place.window)
        usable = inside_of(place.window, place.labelled)
        seen = cut.seen if place.surroundings else cut.seen & usable
        kind = np.uint8 if cut.values.dtype == np.uint8 else np.float32
        values = torch.from_numpy(np.ascontiguousarray(cut.values, kind))
        groups = self.scenes[place.scene].choice.groups
        image, valid = resample_groups(values, torch.from_numpy(seen), groups, self.size_px)
        mask = resample_labels(cut.labels, usable, self.size_px)
        mean, std = self.statistics[place.scene]
        apart = torch.unflatten(image, 0, (-1, len(mean)))
        return (apart - mean).div_(std).flatten(0, 1), mask, valid

    def _augmented(
        self, image: Tensor, mask: Tensor, valid: Tensor, seed: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)  # those of GPUs are the network's
            changed = self.augment(
                tv_tensors.Image(image), tv_tensors.Mask(mask), tv_tensors.Mask(valid)
            )
        image, mask, valid = (one.as_subclass(Tensor) for one in changed)
        return image, mask, valid


class MiddleChips(ChipDataset):
    """Chips whose mask has the middles of objects: a pixel of its class at each.

    All other labelled ground is of the class outside.
    """

    def __init__(
        self,
        data: TrainingData,
        config: TrainConfig,
        places: RandomPlaces | Sequence[Place],
        size_px: int,
    ) -> None:
        super().__init__(data, config, places, size_px)
        self.ground = config.data.ground
        self.middles = [scene.middles() for scene in self.scenes]

    def _cut(self, place: Place) -> tuple[Tensor, Tensor, Tensor]:
        image, mask, valid = super()._cut(place)
        return image, self._marked(mask, place), valid

    def _marked(self, mask: Tensor, place: Place) -> Tensor:
        """Return a mask of the middles that lie on its labelled pixels."""
        window, middles = place.window, self.middles[place.scene]
        corner, sides = (window.row_off, window.col_off), (window.height, window.width)
        at = np.floor((middles[:, :2] - corner) * self.size_px / sides).astype(np.int64)
        inside = ((at >= 0) & (at < self.size_px)).all(axis=1)
        rows, columns = at[inside].T
        labelled = mask != IGNORE_INDEX
        marked = torch.full_like(mask, self.ground)
        marked[rows, columns] = torch.from_numpy(middles[inside, 2]).to(mask)
        return marked.where(labelled, IGNORE_INDEX)


def mean_and_std(bands: BandSet) -> tuple[Tensor, Tensor]:
    """Return mean and deviation of the bands, each `(C, 1, 1)`."""
    mean, std = [band.mean for band in bands], [band.std for band in bands]
    return torch.tensor(mean)[:, None, None], torch.tensor(std)[:, None, None]


def fit_chips(data: TrainingData, config: TrainConfig) -> ChipDataset:
    """Return the random, augmented chips that a model is fitted on."""
    places = fit_places(data, config)
    if config.chips.sampler == "hard":
        length = chips_per_epoch(config, places)
        places = HardPlaces(places, config.chips.hard_share, config.training.seed, length)
    if config.curriculum.difficulty is not None:
        places = paced(places, data, config)
    return chips_at(places, data, config, config.chips.size_px)


def choose_chips(data: TrainingData, config: TrainConfig) -> ChipDataset:
    """Return chips that label each pixel of the choose blocks once, as small as the blocks let."""
    size_px = grid_size(data.choose, config.chips.size_px, config.model.side_multiple)
    return chips_at(grid_places(data.choose, size_px), data, config, size_px)


def chips_at(
    places: RandomPlaces | Sequence[Place], data: TrainingData, config: TrainConfig, size_px: int
) -> ChipDataset:
    """Return the chips of places, with labels as the task of a config has them."""
    kind = MiddleChips if config.task == "detection" else ChipDataset
    return kind(data, config, places, size_px)


def chips_per_epoch(config: TrainConfig, places: RandomPlaces | Sequence[Place]) -> int:
    """Return the chips of an epoch: as many as the config says, or as there are places."""
    if not isinstance(places, RandomPlaces):
        return len(places)
    stated = config.chips.stated_per_epoch
    return places.to_cover() if stated is None else stated
