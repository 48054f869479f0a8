"""What a hierarchy leaves to chance: latents on its coarsest levels, given the coarser ones."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from timm.layers.norm import LayerNorm2d
from torch import Tensor, nn

from geohier.config.hierarchy import HierarchyConfig
from geohier.layers.attention_heads import starting_at_nothing
from geohier.layers.merge import enlarged
from geohier.layers.used import Used

LOG_DEVIATIONS = -5.0, 2.0
"""Between these a logarithm of a deviation stays, so that no draw and no divergence overflows."""


@dataclass(frozen=True, slots=True)
class Normal:
    """Independent normal distributions, one per number of a tensor.

    Args:
        mean: `(B, D, h, w)`, float32.
        log_deviation: the same shape.
    """

    mean: Tensor
    log_deviation: Tensor

    @classmethod
    def of(cls, parameters: Tensor) -> "Normal":
        """Return what a network's `(B, 2 * D, h, w)` stand for."""
        mean, log_deviation = parameters.float().chunk(2, dim=1)
        return cls(mean, log_deviation.clamp(*LOG_DEVIATIONS))

    def at(self, noise: Tensor) -> Tensor:
        """Return the draw that unit normal noise makes, `(B, D, h, w)`."""
        return self.mean + self.log_deviation.exp() * noise


type Draw = Callable[[int, Tensor, Normal], Tensor]
"""From the number of a level, the level itself, and what is expected there, to what is drawn."""


def the_mean(number: int, level: Tensor, prior: Normal) -> Tensor:
    """Draw nothing: go by the mean."""
    return prior.mean


def build_latents(config: HierarchyConfig, channels: int) -> "LevelLatents | None":
    """Return the latents of a config, None where there are none.

    Args:
        config: how many levels have latents, and how many numbers each cell draws.
        channels: of all levels.
    """
    return LevelLatents(config, channels) if config.latents.levels else None


class LevelLatents(nn.Module):
    """On each of the coarsest levels, cells expect a normal distribution, and something is drawn.

    Kohl et al. 2019, A Hierarchical Probabilistic U-Net for Modeling Multi-Scale Ambiguities: from
    the coarsest level down, what is expected of a cell depends on its level and on all that was
    drawn on coarser ones; what is drawn is added to its level and to all finer ones. What it adds
    is 0 until it has learnt otherwise.

    Args:
        config: of the latents, and how maps are enlarged.
        channels: of all levels.

    Attributes:
        first: number of the finest level that has latents.

    Shape:
        - levels: `(B, C, H_l, W_l)` each, finest first
        - returns: the same
        - used: of each level with latents, `latents.l`, `(B, D, H_l, W_l)`, what was drawn, and
          `deviation.l`, the same shape, how far draws of it spread
    """

    def __init__(self, config: HierarchyConfig, channels: int) -> None:
        super().__init__()
        count, drawn = config.latents.levels, config.latents.channels
        self.first = config.levels - count
        self.channels = drawn
        self.align_corners = config.align_corners
        self.priors = nn.ModuleList(_expecting(channels, drawn) for _ in range(count))
        self.projects = nn.ModuleList(starting_at_nothing(drawn, channels) for _ in range(count))

    def forward(self, levels: Sequence[Tensor], draw: Draw = the_mean) -> tuple[list[Tensor], Used]:
        answers, used = list(levels), dict[str, Tensor]()
        told = torch.zeros_like(levels[-1])
        for number in reversed(range(len(levels))):
            if number >= self.first:
                prior = self._prior(number, levels[number] + told)
                drawn = draw(number, levels[number] + told, prior)
                told = told + self.projects[number - self.first](drawn.to(told.dtype))
                used[f"latents.{number}"] = drawn
                used[f"deviation.{number}"] = prior.log_deviation.exp()
            answers[number] = levels[number] + told
            if number:
                told = enlarged(told, 2, align_corners=self.align_corners)
        return answers, used

    def _prior(self, number: int, level: Tensor) -> Normal:
        return Normal.of(self.priors[number - self.first](level))


def _expecting(channels: int, drawn: int) -> nn.Module:
    """Return what tells mean and logarithm of the deviation; at first it tells 0 and 0."""
    return nn.Sequential(
        LayerNorm2d(channels),
        nn.Conv2d(channels, channels, 1),
        nn.ReLU(inplace=True),
        starting_at_nothing(channels, 2 * drawn),
    )
