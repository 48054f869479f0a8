"""Attention that weighs channels or places: gates between 0 and 1."""

from typing import Literal

import torch
from timm.layers.cbam import CbamModule, ChannelAttn, SpatialAttn
from torch import Tensor, nn

type Gated = Literal["channel", "spatial", "channel_spatial"]

SPATIAL_CELLS = 7
"""Side of the square by whose means and maxima over channels a place is weighed."""


class Gates(nn.Module):
    """Channels, places or both are weighed: what that changes is to be added.

    Woo et al. 2018, CBAM: Convolutional Block Attention Module, as timm has it. Channels are
    weighed by their means and maxima over the tile, so that answers depend on all of it; places are
    weighed by the cells around them. A factor for each channel, which starts at 0, says how much
    comes of it.

    Args:
        channels: of the level.
        kind: what is weighed.

    Shape:
        - level: `(B, C, H, W)`
        - returns: the same
    """

    def __init__(self, channels: int, kind: Gated) -> None:
        super().__init__()
        self.weigh = _weigh(channels, kind)
        self.scale = nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, level: Tensor) -> Tensor:
        change: Tensor = self.scale * (self.weigh(level) - level)
        return change


def _weigh(channels: int, kind: Gated) -> nn.Module:
    narrow = max(4, channels // 16)
    match kind:
        case "channel":
            return ChannelAttn(channels, rd_channels=narrow)
        case "spatial":
            return SpatialAttn(SPATIAL_CELLS)
        case "channel_spatial":
            return CbamModule(channels, rd_channels=narrow, spatial_kernel_size=SPATIAL_CELLS)
