"""How the levels of a pyramid become one map at the resolution of the finest."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from geohier.config.hierarchy import HierarchyConfig, Merge
from geohier.layers.blocks import conv_block
from geohier.layers.used import Used


class Read(nn.Module):
    """Brings one level to the finest resolution, doubling it as often as it takes.

    Kirillov et al. 2019, Panoptic Feature Pyramid Networks, CVPR, figure 3.

    Args:
        channels: of the level.
        width: channels afterwards.
        doublings: times that the sides are doubled.
        config: normalisation, and how maps are enlarged.
    """

    def __init__(self, channels: int, width: int, doublings: int, config: HierarchyConfig) -> None:
        super().__init__()
        self.doublings = doublings
        self.align_corners = config.align_corners
        self.blocks = nn.ModuleList(
            conv_block(width if at else channels, width, config.norm, separable=config.separable)
            for at in range(max(1, doublings))
        )

    def forward(self, level: Tensor) -> Tensor:
        for block in self.blocks:
            level = block(level)
            if self.doublings:
                level = enlarged(level, 2, align_corners=self.align_corners)
        return level


def enlarged(image: Tensor, times: int, *, align_corners: bool) -> Tensor:
    """Return an image enlarged bilinearly."""
    if times == 1:
        return image
    return functional.interpolate(
        image, scale_factor=float(times), mode="bilinear", align_corners=align_corners
    )


class SumMerge(nn.Module):
    """The sum of all levels.

    Shape:
        - reads: `(B, C, h, w)` each, finest first
        - returns: the same once, and nothing used
    """

    def forward(self, reads: Sequence[Tensor]) -> tuple[Tensor, Used]:
        return torch.stack(list(reads)).sum(dim=0), {}


class ConcatMerge(nn.Module):
    """All levels side by side: `(B, L * C, h, w)`."""

    def forward(self, reads: Sequence[Tensor]) -> tuple[Tensor, Used]:
        return torch.cat(list(reads), dim=1), {}


class GatedMerge(nn.Module):
    """A mean of the levels that each pixel weighs by itself, times their number.

    Gates are a softmax over levels of what a convolution of 1 x 1 makes of all of them, as in Chen
    et al. 2016, Attention to Scale, CVPR. They start alike, so that the merge starts as the sum.
    Used are `gates` `(B, L, h, w)`, which sum to 1.
    """

    def __init__(self, width: int, levels: int) -> None:
        super().__init__()
        self.scores = nn.Conv2d(width * levels, levels, 1)
        nn.init.zeros_(self.scores.weight)
        assert self.scores.bias is not None
        nn.init.zeros_(self.scores.bias)

    def forward(self, reads: Sequence[Tensor]) -> tuple[Tensor, Used]:
        gates: Tensor = self.scores(torch.cat(list(reads), dim=1)).softmax(dim=1)
        weighed = (gates[:, at, None] * read for at, read in enumerate(reads))
        return len(reads) * torch.stack(list(weighed)).sum(dim=0), {"gates": gates}


def build_merge(merge: Merge, width: int, levels: int) -> tuple[nn.Module, int]:
    """Return the merge of a config, and the channels of its map."""
    match merge:
        case "sum":
            return SumMerge(), width
        case "concat":
            return ConcatMerge(), width * levels
        case "gated":
            return GatedMerge(width, levels), width
