"""Heads of a hierarchy that training alone has: what its levels tell beside the classes."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from geohier.config.auxiliary import AuxiliaryConfig
from geohier.layers.merge import enlarged
from geohier.models.hierarchy import HierarchicalSegmenter, Look


@dataclass(frozen=True, slots=True)
class Told:
    """What the heads of a config tell; None is what it has no head for.

    Args:
        edges: `(B, 1, H, W)` logits of being on an edge.
        distance: `(B, 1, H, W)` distance from the next other class, as a part of the reach.
        classes: `(B, K, H_l, W_l)` logits for each level, finest first.
        bands: `(B, C, H_l, W_l)` for each level: its band of the image's Laplacian pyramid.
    """

    edges: Tensor | None
    distance: Tensor | None
    classes: list[Tensor] | None
    bands: list[Tensor] | None

    def of(self, change: Callable[[Tensor], Tensor]) -> "Told":
        """Return the same with every tensor changed."""
        return Told(
            edges=None if self.edges is None else change(self.edges),
            distance=None if self.distance is None else change(self.distance),
            classes=None if self.classes is None else [change(one) for one in self.classes],
            bands=None if self.bands is None else [change(one) for one in self.bands],
        )


class AuxiliaryHeads(nn.Module):
    """A convolution of 1 x 1 for each thing that is told.

    Args:
        network: the hierarchy.
        config: which terms there are.
        bands: bands of the image.
        classes: classes.

    Attributes:
        log_variances: `(T,)` of the classes and of each term, 0 at first; of no use unless terms
            are weighed by uncertainty, and then learnt.
    """

    def __init__(
        self, network: HierarchicalSegmenter, config: AuxiliaryConfig, bands: int, classes: int
    ) -> None:
        super().__init__()
        used, merged = config.used, network.segmentation_head.in_channels
        width, levels = network.width, len(network.strides)
        by_level = used.keys() & {"levels", "consistency"}
        self.stride, self.align_corners = network.strides[0], network.align_corners
        self.edges = nn.Conv2d(merged, 1, 1) if "edges" in used else None
        self.distance = nn.Conv2d(merged, 1, 1) if "distance" in used else None
        self.classes = _each(levels, width, classes) if by_level else None
        self.bands = _each(levels, width, bands) if "reconstruction" in used else None
        learnt = config.weighing == "uncertainty"
        self.log_variances = nn.Parameter(torch.zeros(1 + len(used)), requires_grad=learnt)

    def forward(self, look: Look) -> Told:
        return Told(
            edges=self._in_pixels(self.edges, look.merged),
            distance=self._in_pixels(self.distance, look.merged),
            classes=_told(self.classes, look.levels),
            bands=_told(self.bands, look.levels),
        )

    def _in_pixels(self, head: nn.Module | None, merged: Tensor | None) -> Tensor | None:
        if head is None or merged is None:
            return None
        return enlarged(head(merged), self.stride, align_corners=self.align_corners)


def _each(levels: int, width: int, channels: int) -> nn.ModuleList:
    """Return a head per level that tells nothing, 0, before it has learnt anything."""
    heads = nn.ModuleList(nn.Conv2d(width, channels, 1) for _ in range(levels))
    for value in heads.parameters():
        nn.init.zeros_(value)
    return heads


def _told(heads: nn.ModuleList | None, levels: list[Tensor]) -> list[Tensor] | None:
    if heads is None:
        return None
    return [head(level) for head, level in zip(heads, levels, strict=True)]
