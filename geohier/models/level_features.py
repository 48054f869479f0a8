"""What the levels of a network hold: its hierarchy as features, without the answer made of it."""

from collections.abc import Sequence

import segmentation_models_pytorch as smp
import torch
from torch import Tensor, nn
from torch.nn import functional

from geohier.errors import ModelError
from geohier.models.dated import OfDates, image_channels
from geohier.models.hierarchy import HierarchicalSegmenter
from geohier.models.segmentation import Downsampled

PROBE_PX = 256
"""Least side of the blank image with which levels are measured."""


class LevelFeatures(nn.Module):
    """A network that answers with chosen levels of its hierarchy in place of class scores.

    Of a feature pyramid, the levels are those that its decoder merges: each knows what the coarser
    ones saw (Lin et al. 2017, Feature Pyramid Networks for Object Detection). Of any other network
    they are the levels of its encoder. Coarser levels are enlarged bilinearly to the finest chosen.

    Args:
        network: a network of `at_image_resolution`, or any with an `encoder` that gives the image
            and then its levels, each coarser than the one before, as smp's do.
        levels: numbers of the levels, rising; 0 is the finest.

    Shape:
        - image: `(B, bands, H, W)`, normalised, sides divisible by the coarsest stride
        - features: `(B, C, H / s, W / s)`, the channels of the chosen levels, finest first, where
          `s` is the stride of the finest chosen
    """

    def __init__(self, network: nn.Module, levels: Sequence[int]) -> None:
        super().__init__()
        self.network = network
        self.levels = tuple(levels)

    def forward(self, image: Tensor) -> Tensor:
        pyramid = level_features(self.network, image)
        finest, *coarser = (pyramid[level] for level in self.levels)
        size = tuple(finest.shape[-2:])
        larger = [functional.interpolate(one, size=size, mode="bilinear") for one in coarser]
        return torch.cat([finest, *larger], dim=1)


def level_features(network: nn.Module, image: Tensor) -> list[Tensor]:
    """Return the levels of a network's hierarchy for an image, finest first.

    Shape:
        - image: `(B, bands, H, W)`
        - result: one `(B, C_l, H_l, W_l)` per level

    Raises:
        ModelError: the network has no encoder.
    """
    if isinstance(network, Downsampled):
        return level_features(network.network, network.shrunk(image))
    if isinstance(network, OfDates):
        return level_features(network.network, network.told(image))
    if isinstance(network, HierarchicalSegmenter):
        return network.levels(image)
    encoder = getattr(network, "encoder", None)
    if not isinstance(encoder, nn.Module):
        raise ModelError(
            f"a {type(network).__name__} has no encoder whose levels could be read: give a model "
            "directory of geohier, or a module with an `encoder` like smp's"
        )
    features: list[Tensor] = encoder(image)
    if isinstance(network, smp.FPN):
        return merged_levels(network.get_submodule("decoder"), features)
    return [level for level in features[1:] if level.shape[1] > 0]


def merged_levels(decoder: nn.Module, features: Sequence[Tensor]) -> list[Tensor]:
    """Return the levels of smp's pyramid, finest first: what its decoder has before its answer."""
    pyramid: list[Tensor] = [decoder.get_submodule("p5")(features[-1])]
    for name, skipped in zip(("p4", "p3", "p2"), features[-2:-5:-1], strict=True):
        pyramid.append(decoder.get_submodule(name)(pyramid[-1], skipped))
    return pyramid[::-1]


def measure_levels(network: nn.Module, bands: int, multiple: int) -> list[tuple[int, int]]:
    """Return stride, in pixels of the image, and channels of each level, finest first.

    Args:
        network: as of `LevelFeatures`.
        bands: bands of the image.
        multiple: the network takes images whose sides are multiples of it, in pixels.

    Raises:
        ModelError: the network has no encoder.
    """
    side = -(-PROBE_PX // multiple) * multiple
    shape = 1, image_channels(network, bands), side, side
    parameter = next(network.parameters(), torch.empty(0))
    training = network.training
    network.eval()
    with torch.no_grad():
        levels = level_features(network, torch.zeros(shape).to(parameter.device))
    network.train(training)
    return [(side // level.shape[-1], level.shape[1]) for level in levels]
