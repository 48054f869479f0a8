"""The Laplacian pyramid of an image: what each scale adds to the next coarser one.

After Burt and Adelson (1983), The Laplacian Pyramid as a Compact Image Code. Means over squares
stand for their Gaussian: a cell is then the mean of just the valid pixels that it covers, so that
neither invalid pixels nor those behind a neighbour's mask shine through.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate


def laplacian_pyramid(image: Tensor, valid: Tensor, strides: Sequence[int]) -> list[Tensor]:
    """Return what each level adds to the next coarser one; the coarsest is the rest.

    Args:
        image: the image.
        valid: which of its pixels count.
        strides: pixels per cell of each level, finest first, each a multiple of the one before.

    Shape:
        - image: `(B, C, H, W)`, sides divisible by the coarsest stride
        - valid: `(B, 1, H, W)` bool
        - returns: one `(B, C, H / stride, W / stride)` per level; 0 where no pixel is valid
    """
    means = [_valid_mean(image, valid, stride) for stride in strides]
    bands = [
        (fine - _enlarged(coarse, fine)) * (cell_share(valid, stride) > 0)
        for fine, coarse, stride in zip(means[:-1], means[1:], strides, strict=False)
    ]
    return [*bands, means[-1]]


def rebuild(bands: Sequence[Tensor]) -> Tensor:
    """Return the image at the finest level's resolution from the bands of a pyramid."""
    image = bands[-1]
    for band in reversed(bands[:-1]):
        image = band + _enlarged(image, band)
    return image


def cell_share(pixels: Tensor, stride: int) -> Tensor:
    """Return which share of the pixels under each cell of a level is set."""
    return avg_pool2d(pixels.float(), stride)


def _valid_mean(image: Tensor, valid: Tensor, stride: int) -> Tensor:
    shown = torch.where(valid, image, 0.0)
    return avg_pool2d(shown, stride) / cell_share(valid, stride).clamp(min=1e-6)


def _enlarged(coarse: Tensor, like: Tensor) -> Tensor:
    return interpolate(coarse, size=like.shape[-2:], mode="nearest")
