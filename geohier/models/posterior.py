"""What labels tell of a hierarchy's latents: training alone has it, as it alone has labels."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from timm.layers.norm import LayerNorm2d
from torch import Tensor, nn
from torch.nn import functional

from geohier.layers.latents import Normal
from geohier.models.hierarchy import HierarchicalSegmenter

WIDTH = 32
"""Channels in which labels are seen."""


class LabelPyramid(nn.Module):
    """Labels as levels: shares of the classes at the finest stride, and convolutions from there on.

    Args:
        classes: classes; what has no label is one more.
        strides: of the levels, finest first.

    Shape:
        - labels: `(B, H, W)`, a number beyond the classes where unlabelled
        - returns: `(B, WIDTH, H_l, W_l)` each, finest first
    """

    def __init__(self, classes: int, strides: Sequence[int]) -> None:
        super().__init__()
        self.classes, self.finest = classes, strides[0]
        self.first = nn.Conv2d(classes + 1, WIDTH, 3, padding=1)
        self.coarser = nn.ModuleList(
            nn.Conv2d(WIDTH, WIDTH, 3, stride=2, padding=1) for _ in pairwise(strides)
        )

    def forward(self, labels: Tensor) -> list[Tensor]:
        each = functional.one_hot(labels.clamp(max=self.classes), self.classes + 1)
        shares = functional.avg_pool2d(each.movedim(-1, 1).float(), self.finest)
        levels = [functional.relu(self.first(shares))]
        for coarser in self.coarser:
            levels.append(functional.relu(coarser(levels[-1])))
        return levels


class Posterior(nn.Module):
    """What is known of latents by image and labels together; without labels, what was expected.

    Args:
        network: a hierarchy with latents.
        classes: classes.
    """

    def __init__(self, network: HierarchicalSegmenter, classes: int) -> None:
        super().__init__()
        latents = network.latents
        assert latents is not None
        self.first, self.strides = latents.first, network.strides
        self.labels = LabelPyramid(classes, network.strides)
        self.heads = nn.ModuleList(
            _head(network.width, latents.channels) for _ in network.strides[latents.first :]
        )

    def forward(
        self, number: int, level: Tensor, prior: Normal, seen: Tensor, labelled: Tensor
    ) -> Normal:
        """Return what is known of a level's latents.

        Args:
            number: of the level.
            level: with what was drawn on coarser ones.
            prior: what is expected there.
            seen: the level of the labels.
            labelled: cells that have labels.

        Shape:
            - level: `(B, C, h, w)`
            - seen: `(B, WIDTH, h, w)`
            - labelled: `(B, h, w)`
        """
        beside = torch.cat([level, seen.to(level.dtype)], dim=1)
        known, there = Normal.of(self.heads[number - self.first](beside)), labelled[:, None]
        return Normal(
            torch.where(there, known.mean, prior.mean),
            torch.where(there, known.log_deviation, prior.log_deviation),
        )


def _head(channels: int, drawn: int) -> nn.Module:
    return nn.Sequential(
        LayerNorm2d(channels + WIDTH),
        nn.Conv2d(channels + WIDTH, channels, 1),
        nn.ReLU(inplace=True),
        nn.Conv2d(channels, 2 * drawn, 1),
    )
