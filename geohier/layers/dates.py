"""A stack of dates as a network is given it: one image after the other, in the channels of one.

Each date has its bands, then its day of the year, then how many years it is before the newest. All
are 0 where it saw nothing: so a date that is missing is one that saw nothing anywhere, and stacks
of different lengths fit into one batch.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from geohier.geo.dates import CHANNELS


@dataclass(frozen=True, slots=True)
class Stack:
    """Images of several dates.

    Args:
        images: `(B, T, C, H, W)`, 0 where nothing was seen.
        days: `(B, T)` day of the year, 0 of a date that saw nothing.
        ages: `(B, T)` years before the newest.
        seen: `(B, T, H, W)` whether a date saw a pixel.
    """

    images: Tensor
    days: Tensor
    ages: Tensor
    seen: Tensor

    @property
    def _kept(self) -> Tensor:
        """Which dates are looked at, `(B * T,)`: those that saw anything, or all if none did."""
        there = (self.days > 0).flatten()
        return there if bool(there.any()) else torch.ones_like(there)

    @property
    def looked_at(self) -> Tensor:
        """Images that saw anything `(N, C, H, W)`, as one batch."""
        return self.images.flatten(0, 1)[self._kept]

    def spread(self, found: Tensor) -> Tensor:
        """Bring what was found in the images that were looked at to their places, else 0.

        Shape:
            - found: `(N, C, h, w)`
            - returns: `(B, T, C, h, w)`
        """
        kept = self._kept
        whole = found.new_zeros(len(kept), *found.shape[1:])
        whole[kept] = found
        return torch.unflatten(whole, 0, self.days.shape)

    def seen_by(self, height: int, width: int) -> Tensor:
        """Return which cells of a level a date saw any pixel of, `(B, T, height, width)`."""
        return functional.adaptive_max_pool2d(self.seen.float(), (height, width)) > 0

    def thinned(self, chance: float) -> "Stack":
        """Return a stack of which each date is left out by chance, but one of each."""
        drawn = torch.rand(self.days.shape, device=self.days.device)
        drawn = drawn.masked_fill(self.days == 0, -1)
        kept = (drawn >= chance) | (drawn == drawn.amax(1, keepdim=True))
        wide = kept[:, :, None, None]
        return replace(
            self,
            images=self.images * wide[..., None],
            days=self.days * kept,
            ages=self.ages * kept,
            seen=self.seen & wide,
        )


def stack_of(image: Tensor, bands: int) -> Stack:
    """Return the dates of an image.

    Args:
        image: `(B, T * (C + 2), H, W)`, normalised.
        bands: bands of each date.
    """
    dates = torch.unflatten(image, 1, (-1, bands + CHANNELS))
    day, age = dates[:, :, bands], dates[:, :, bands + 1]
    return Stack(dates[:, :, :bands], day.amax((2, 3)), age.amax((2, 3)), day > 0)


def with_dates(image: Tensor, valid: Tensor | None, when: Tensor) -> Tensor:
    """Return an image that says behind the bands of each date when it was taken.

    Shape:
        - image: `(B, T * C, H, W)`, 0 where nothing was seen
        - valid: `(B, 1 or T * C, H, W)`, None where everything was seen; a date saw a pixel if it
          saw any of its bands
        - when: `(T, 2)`, as of `geo.dates.when`
        - returns: `(B, T * (C + 2), H, W)`
    """
    dates = torch.unflatten(image, 1, (len(when), -1))
    seen = torch.ones_like(dates[:, :, :1], dtype=torch.bool)
    if valid is not None:
        seen = torch.unflatten(valid.expand_as(image), 1, (len(when), -1)).any(2, keepdim=True)
    told = when.to(image)[:, :, None, None] * seen
    return torch.cat([dates, told], dim=2).flatten(1, 2)


def bands_alone(image: Tensor, dates: int) -> Tensor:
    """Return the bands of each date, `(T * C, H, W)`, of an image `(T * (C + 2), H, W)`."""
    return torch.unflatten(image, 0, (dates, -1))[:, :-CHANNELS].flatten(0, 1)


def coarser(image: Tensor, bands: int, factor: int) -> Tensor:
    """Return means over squares of pixels of each date; a date saw what it saw any pixel of."""
    dates = torch.unflatten(image, 1, (-1, bands + CHANNELS))
    means = functional.avg_pool2d(dates[:, :, :bands].flatten(1, 2), factor)
    told = functional.max_pool2d(dates[:, :, bands:].flatten(1, 2), factor)
    shape = (dates.shape[1], -1)
    both = torch.unflatten(means, 1, shape), torch.unflatten(told, 1, shape)
    return torch.cat(both, dim=2).flatten(1, 2)
