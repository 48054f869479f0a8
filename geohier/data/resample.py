"""Bringing a window to the size of a chip, without letting invalid pixels bleed into valid ones."""

import torch
from torch import Tensor
from torch.nn.functional import interpolate


def resample_image(values: Tensor, valid: Tensor, size_px: int) -> tuple[Tensor, Tensor]:
    """Resize an image bilinearly, averaging over the pixels that fall into one when it shrinks.

    Each pixel is the mean of the valid pixels under it alone; it is valid if they make up at least
    half of its weight.

    Shape:
        - values: `(C, H, W)` float32, or uint8, which is three times faster where all is valid
        - valid: `(H, W)` bool
        - returns: `(C, size_px, size_px)` float32 and `(size_px, size_px)` bool
    """
    if tuple(values.shape[1:]) == (size_px, size_px):
        return values.float(), valid
    if bool(valid.all()):
        return _bilinear(values, size_px).float(), valid.new_ones((size_px, size_px))
    shown = _without_invalid(values, valid)
    weight = _bilinear(valid[None].float(), size_px)
    sums = _bilinear(shown, size_px)
    return sums / weight.clamp(min=1e-6), weight[0] >= 0.5


def resample_labels(labels: Tensor, size_px: int) -> Tensor:
    """Resize `(H, W)` class indexes to `(size_px, size_px)`, taking the nearest."""
    if tuple(labels.shape) == (size_px, size_px):
        return labels
    return interpolate(labels[None, None], size=(size_px, size_px), mode="nearest-exact")[0, 0]


def _without_invalid(values: Tensor, valid: Tensor) -> Tensor:
    """Return values as float32, 0 where invalid; bytes are cleared as such, which is faster."""
    if values.dtype == torch.uint8:
        return (values * valid).float()
    return torch.where(valid, values.float(), 0.0)


def _bilinear(image: Tensor, size_px: int) -> Tensor:
    size = (size_px, size_px)
    return interpolate(
        image[None], size=size, mode="bilinear", antialias=True, align_corners=False
    )[0]
