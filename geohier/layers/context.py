"""What the coarsest level sees of its surroundings before levels are fused."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from geohier.config.hierarchy import Norm
from geohier.layers.blocks import conv_block, normalisation

POOLED_SIDES = (1, 2, 3, 6)


class PyramidPooling(nn.Module):
    """Means over 1, 4, 9 and 36 parts of the tile beside what each cell sees itself.

    Zhao et al. 2017, Pyramid Scene Parsing Network, CVPR; in front of a feature pyramid it is Xiao
    et al. 2018, Unified Perceptual Parsing (UPerNet), ECCV. Answers depend on the whole tile.

    Shape:
        - level: `(B, C, h, w)`
        - returns: the same
    """

    def __init__(self, channels: int, norm: Norm, *, separable: bool) -> None:
        super().__init__()
        narrow = max(1, channels // len(POOLED_SIDES))
        # a mean over the whole tile is a single number: nothing to normalise a batch of one by
        self.branches = nn.ModuleList(
            nn.Sequential(nn.Conv2d(channels, narrow, 1), nn.ReLU(inplace=True))
            for _ in POOLED_SIDES
        )
        together = channels + narrow * len(POOLED_SIDES)
        self.project = conv_block(together, channels, norm, separable=separable)

    def forward(self, level: Tensor) -> Tensor:
        size = tuple(level.shape[-2:])
        pooled = [
            functional.interpolate(
                branch(functional.adaptive_avg_pool2d(level, side)), size=size, mode="bilinear"
            )
            for side, branch in zip(POOLED_SIDES, self.branches, strict=True)
        ]
        mixed: Tensor = self.project(torch.cat([level, *pooled], dim=1))
        return mixed


class AtrousPooling(nn.Module):
    """Convolutions that look at several distances at once.

    Chen et al. 2017, Rethinking Atrous Convolution (ASPP); without its mean over the whole image,
    so that an answer depends on nothing farther away than the largest rate.

    Shape:
        - level: `(B, C, h, w)`
        - returns: the same
    """

    def __init__(self, channels: int, rates: Sequence[int], norm: Norm, *, separable: bool) -> None:
        super().__init__()
        narrow = max(32, channels // (1 + len(rates)) // 32 * 32)
        self.here = _mix(channels, narrow, norm)
        self.around = nn.ModuleList(
            conv_block(channels, narrow, norm, dilation=rate, separable=separable) for rate in rates
        )
        self.project = _mix(narrow * (1 + len(rates)), channels, norm)

    def forward(self, level: Tensor) -> Tensor:
        seen = [self.here(level), *(branch(level) for branch in self.around)]
        mixed: Tensor = self.project(torch.cat(seen, dim=1))
        return mixed


def _mix(channels_in: int, channels_out: int, norm: Norm) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 1, bias=False),
        normalisation(norm, channels_out),
        nn.ReLU(inplace=True),
    )
