"""The rungs of the ladder: which features of an encoder are levels, and those made beyond them."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from geohier.config.hierarchy import HierarchyConfig
from geohier.layers.blocks import convolution, normalisation


class Ladder(nn.Module):
    """Picks the levels of a hierarchy from an encoder's features, and adds coarser ones.

    Args:
        channels: channels of the encoder's features, the image's first; feature `k` has stride
            `2 ** k`.
        finest: number of the feature that is the finest level.
        config: how many levels, and how the extra ones are made.

    Attributes:
        channels: of the levels, finest first.
        strides: of the levels, in pixels of the image.

    Shape:
        - features: `(B, C_k, H / 2^k, W / 2^k)` each
        - returns: the levels, finest first
    """

    def __init__(self, channels: Sequence[int], finest: int, config: HierarchyConfig) -> None:
        super().__init__()
        self.taken = range(finest, min(finest + config.levels, len(channels)))
        extra = config.levels - len(self.taken)
        coarsest = channels[self.taken[-1]]
        self.channels = (*(channels[at] for at in self.taken), *[coarsest] * extra)
        self.strides = tuple(2 ** (finest + level) for level in range(config.levels))
        self.extra = nn.ModuleList(_coarser(coarsest, config) for _ in range(extra))

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        levels = [features[at] for at in self.taken]
        for coarser in self.extra:
            levels.append(coarser(levels[-1]))
        return levels


def _coarser(channels: int, config: HierarchyConfig) -> nn.Module:
    if config.extra_levels == "pool":
        return MaxOfFour()
    strided = convolution(channels, channels, stride=2, separable=config.separable)
    return nn.Sequential(strided, normalisation(config.norm, channels), nn.ReLU(inplace=True))


class MaxOfFour(nn.Module):
    """The largest of each 2 x 2 cells: nothing is learnt."""

    def forward(self, level: Tensor) -> Tensor:
        return functional.max_pool2d(level, 2)
