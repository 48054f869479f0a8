"""A network that answers with one draw of its latents, the same for a place in whatever tile."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from geohier.layers.grid_noise import grid_noise
from geohier.layers.latents import Normal
from geohier.models.hierarchy import HierarchicalSegmenter
from geohier.models.segmentation import Downsampled


class SampledSegmenter(nn.Module):
    """Draws the latents of a hierarchy by a seed and by where each cell lies in its raster.

    Two tiles that share a cell draw the same there; what a cell draws depends neither on the batch
    nor on the order of tiles.

    Args:
        network: what predicts, as of `at_image_resolution`; `has_latents` says whether it can.
        seed: of the draw, from 0 to 2 ** 63 - 1.

    Shape:
        - image: `(B, C, H, W)`
        - corners: `(B, 2)`, row and column of each image's first pixel in the raster, multiples of
          the coarsest stride; None for a raster's own corner
        - logits: `(B, K, H, W)`
    """

    takes_corners = True

    def __init__(self, network: nn.Module, seed: int) -> None:
        super().__init__()
        self.network = network
        self.seed = seed
        hierarchy, factor = _hierarchy(network)
        self.strides = tuple(factor * stride for stride in hierarchy.strides)

    def forward(self, image: Tensor, corners: Tensor | None = None) -> Tensor:
        if corners is None:
            corners = torch.zeros(len(image), 2, dtype=torch.int64)
        scores: Tensor = self.network(image, PlacedDraw(self.seed, self.strides, corners))
        return scores


@dataclass(frozen=True, slots=True)
class PlacedDraw:
    """Draws what is expected of each cell by the noise of its place.

    Args:
        seed: of the draw.
        strides: of the levels, in pixels of the raster.
        corners: `(B, 2)`, row and column of each image's first pixel.
    """

    seed: int
    strides: tuple[int, ...]
    corners: Tensor

    def __call__(self, number: int, level: Tensor, prior: Normal) -> Tensor:
        _, channels, height, width = prior.mean.shape
        noise = [
            grid_noise(self.seed, number, channels, row=row, col=col, height=height, width=width)
            for row, col in (self.corners // self.strides[number]).tolist()
        ]
        return prior.at(torch.stack(noise).to(prior.mean))


def has_latents(network: nn.Module) -> bool:
    """Return whether a network that predicts has latents of which maps can be drawn."""
    inner = network.network if isinstance(network, Downsampled) else network
    return isinstance(inner, HierarchicalSegmenter) and inner.latents is not None


def _hierarchy(network: nn.Module) -> tuple[HierarchicalSegmenter, int]:
    """Return the hierarchy within, and how many pixels of the image one of its own is."""
    if isinstance(network, Downsampled):
        hierarchy, factor = _hierarchy(network.network)
        return hierarchy, factor * network.factor
    assert isinstance(network, HierarchicalSegmenter)
    return network, 1
