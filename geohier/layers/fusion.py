"""How the levels of a pyramid tell each other what they see."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from geohier.config.hierarchy import HierarchyConfig, Norm
from geohier.layers.blocks import conv_block, twice_as_large
from geohier.layers.used import Used


def build_fusion(channels: Sequence[int], width: int, config: HierarchyConfig) -> nn.Module:
    """Return the fusion of a config.

    Args:
        channels: of the levels, finest first.
        width: channels of each level afterwards.
        config: which fusion.
    """
    match config.fusion:
        case "none":
            return Laterals(channels, width)
        case "sum":
            return TopDown(channels, width)
        case "concat":
            return ConcatTopDown(channels, width)
        case "weighted":
            return WeightedFusion(channels, width, config)
        case "pan":
            return PathAggregation(channels, width, config)


class Laterals(nn.Module):
    """Brings all levels to the same channels, each by itself.

    Shape:
        - levels: `(B, C_l, H_l, W_l)` each, finest first
        - returns: `(B, width, H_l, W_l)` each, and nothing used
    """

    def __init__(self, channels: Sequence[int], width: int) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(nn.Conv2d(count, width, 1) for count in channels)

    def forward(self, levels: Sequence[Tensor]) -> tuple[list[Tensor], Used]:
        return self.brought(levels), {}

    def brought(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """Return each level by its lateral convolution."""
        return [lateral(level) for lateral, level in zip(self.laterals, levels, strict=True)]


class TopDown(Laterals):
    """Adds each level to the next finer one (Lin et al. 2017, Feature Pyramid Networks, CVPR)."""

    def forward(self, levels: Sequence[Tensor]) -> tuple[list[Tensor], Used]:
        return downwards(self.brought(levels)), {}


def downwards(levels: Sequence[Tensor]) -> list[Tensor]:
    """Return levels to each of which all coarser ones are added."""
    *finer, coarsest = levels
    summed = [coarsest]
    for level in reversed(finer):
        summed.append(level + twice_as_large(summed[-1]))
    return summed[::-1]


class ConcatTopDown(Laterals):
    """Mixes each level with the next coarser one, side by side, by a convolution of 1 x 1."""

    def __init__(self, channels: Sequence[int], width: int) -> None:
        super().__init__(channels, width)
        self.mixes = nn.ModuleList(nn.Conv2d(2 * width, width, 1) for _ in channels[1:])

    def forward(self, levels: Sequence[Tensor]) -> tuple[list[Tensor], Used]:
        *finer, coarsest = self.brought(levels)
        mixed = [coarsest]
        for level, mix in zip(reversed(finer), self.mixes, strict=True):
            mixed.append(mix(torch.cat([level, twice_as_large(mixed[-1])], dim=1)))
        return mixed[::-1], {}


class PathAggregation(Laterals):
    """A top-down pyramid whose levels then add up again from fine to coarse.

    Liu et al. 2018, Path Aggregation Network for Instance Segmentation, CVPR.
    """

    def __init__(self, channels: Sequence[int], width: int, config: HierarchyConfig) -> None:
        super().__init__(channels, width)
        norm, separable = config.norm, config.separable
        self.strided = _blocks(len(channels) - 1, width, norm, stride=2, separable=separable)
        self.after = _blocks(len(channels) - 1, width, norm, separable=separable)

    def forward(self, levels: Sequence[Tensor]) -> tuple[list[Tensor], Used]:
        finest, *coarser = downwards(self.brought(levels))
        summed = [finest]
        for level, strided, after in zip(coarser, self.strided, self.after, strict=True):
            summed.append(after(level + strided(summed[-1])))
        return summed, {}


class WeightedFusion(Laterals):
    """Sums with learnt weights, down and up again, several times.

    Tan, Pang and Le 2020, EfficientDet (BiFPN), CVPR: weights are held above 0 and divided by their
    sum. Used are `down` `(repeats, L - 1, 2)`, the shares of a level itself and of the coarser one,
    and `up` `(repeats, L - 1, 3)`, of a level, of itself after the way down, and of the finer one.
    """

    def __init__(self, channels: Sequence[int], width: int, config: HierarchyConfig) -> None:
        super().__init__(channels, width)
        self.rounds = nn.ModuleList(
            _Round(len(channels), width, config) for _ in range(config.repeats)
        )

    def forward(self, levels: Sequence[Tensor]) -> tuple[list[Tensor], Used]:
        fused, down, up = self.brought(levels), [], []
        for once in self.rounds:
            fused, (shares_down, shares_up) = once(fused)
            down.append(shares_down)
            up.append(shares_up)
        return fused, {"down": torch.stack(down), "up": torch.stack(up)}


class _Round(nn.Module):
    """Once down and once up."""

    def __init__(self, levels: int, width: int, config: HierarchyConfig) -> None:
        super().__init__()
        norm, separable = config.norm, config.separable
        self.down = nn.Parameter(torch.ones(levels - 1, 2))
        self.up = nn.Parameter(torch.ones(levels - 1, 3))
        self.on_way_down = _blocks(levels - 1, width, norm, separable=separable)
        self.on_way_up = _blocks(levels - 1, width, norm, separable=separable)

    def forward(self, levels: Sequence[Tensor]) -> tuple[list[Tensor], tuple[Tensor, Tensor]]:
        down, up = _shares(self.down), _shares(self.up)
        middle = [levels[-1]]
        for at in range(len(levels) - 2, -1, -1):
            summed = down[at, 0] * levels[at] + down[at, 1] * twice_as_large(middle[-1])
            middle.append(self.on_way_down[at](summed))
        finest, *coarser = reversed(middle)
        fused = [finest]
        for at, level in enumerate(coarser):
            finer = nn.functional.max_pool2d(fused[-1], 2)
            summed = up[at, 0] * levels[at + 1] + up[at, 1] * level + up[at, 2] * finer
            fused.append(self.on_way_up[at](summed))
        return fused, (down, up)


def _shares(weights: Tensor) -> Tensor:
    held = weights.relu()
    return held / (held.sum(-1, keepdim=True) + 1e-4)


def _blocks(
    count: int, width: int, norm: Norm, *, stride: int = 1, separable: bool
) -> nn.ModuleList:
    return nn.ModuleList(
        conv_block(width, width, norm, stride=stride, separable=separable) for _ in range(count)
    )
