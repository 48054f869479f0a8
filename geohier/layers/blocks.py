"""Convolutions as all parts of the hierarchy use them."""

from timm.layers.norm import LayerNorm2d
from torch import Tensor, nn
from torch.nn import functional

from geohier.config.hierarchy import NORM_GROUPS, Norm


def normalisation(norm: Norm, channels: int) -> nn.Module:
    """Return a normalisation of `(B, C, H, W)`; the channels of group are a multiple of 32."""
    match norm:
        case "batch":
            return nn.BatchNorm2d(channels)
        case "layer":
            return LayerNorm2d(channels)
        case "group":
            return nn.GroupNorm(NORM_GROUPS, channels)


def convolution(
    channels_in: int,
    channels_out: int,
    *,
    stride: int = 1,
    dilation: int = 1,
    separable: bool = False,
) -> nn.Module:
    """Return a convolution of 3 x 3 without bias that keeps sides, or divides them by the stride.

    Separable, it is one per channel and then one of 1 x 1 (Howard et al. 2017, MobileNets).
    """
    if separable:
        each = nn.Conv2d(
            channels_in, channels_in, 3, stride, dilation, dilation, channels_in, bias=False
        )
        return nn.Sequential(each, nn.Conv2d(channels_in, channels_out, 1, bias=False))
    return nn.Conv2d(channels_in, channels_out, 3, stride, dilation, dilation, bias=False)


def conv_block(
    channels_in: int,
    channels_out: int,
    norm: Norm,
    *,
    stride: int = 1,
    dilation: int = 1,
    separable: bool = False,
) -> nn.Sequential:
    """Return a convolution of 3 x 3, a normalisation and a ReLU."""
    first = convolution(
        channels_in, channels_out, stride=stride, dilation=dilation, separable=separable
    )
    return nn.Sequential(first, normalisation(norm, channels_out), nn.ReLU(inplace=True))


def twice_as_large(level: Tensor) -> Tensor:
    """Return a level at the resolution of the next finer one: each cell becomes 2 x 2 alike."""
    return functional.interpolate(level, scale_factor=2.0, mode="nearest")
