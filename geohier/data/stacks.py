"""Chips whose groups of bands are valid by themselves, such as the dates of a stack."""

from collections.abc import Sequence
from datetime import date

import torch
from torch import Tensor

from geohier.data.resample import resample_image
from geohier.geo.dates import CHANNELS, when
from geohier.raster.groups import BandGroup


def resample_groups(
    values: Tensor, seen: Tensor, groups: Sequence[BandGroup], size_px: int
) -> tuple[Tensor, Tensor]:
    """Resample an image as `resample_image` does, group by group.

    Shape:
        - values: `(C, H, W)` float32 or uint8
        - seen: `(G, H, W)` bool
        - returns: `(C, size_px, size_px)` float32 and `(G, size_px, size_px)` bool
    """
    if not groups:
        image, valid = resample_image(values, seen[0], size_px)
        return image, valid[None]
    image = torch.empty(len(values), size_px, size_px)
    valid = torch.empty(len(groups), size_px, size_px, dtype=torch.bool)
    for at, group in enumerate(groups):
        places = list(group.places)
        image[places], valid[at] = resample_image(values[places], seen[at], size_px)
    for at, group in enumerate(groups):
        if not group.may_miss:
            valid &= valid[at].clone()
    return image, valid


def blanked(image: Tensor, valid: Tensor, groups: Sequence[BandGroup]) -> Tensor:
    """Return an image that is 0 in the bands of each group where it is invalid.

    Shape:
        - image: `(C, H, W)`
        - valid: `(G, H, W)`
    """
    if not groups:
        return image.where(valid[0], 0.0)
    shown = image.clone()
    for mask, group in zip(valid, groups, strict=True):
        places = list(group.places)
        shown[places] = image[places].where(mask, 0.0)
    return shown


def filled_up(image: Tensor, valid: Tensor, dates: Sequence[date], most: int) -> Tensor:
    """Return an image whose dates say when they were taken, and so many of them.

    Behind the bands of each date are its day of the year and how many years it is before the
    newest; all are 0 where the date saw nothing, and throughout in the dates that are filled up.

    Shape:
        - image: `(T * C, H, W)`, normalised, the newest first
        - valid: `(T, H, W)`
        - returns: `(most * (C + 2), H, W)`
    """
    apart = torch.unflatten(image, 0, (len(dates), -1))
    whole = image.new_zeros(most, apart.shape[1] + CHANNELS, *image.shape[1:])
    wide = valid[:, None]
    whole[: len(dates), :-CHANNELS] = apart.where(wide, 0.0)
    whole[: len(dates), -CHANNELS:] = torch.tensor(when(dates))[:, :, None, None] * wide
    return whole.flatten(0, 1)
