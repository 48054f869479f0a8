"""Networks of several dates, shown to what measures a network by its image alone."""

import torch
from torch import Tensor, nn

from geohier.geo.dates import CHANNELS
from geohier.layers.dates import with_dates
from geohier.models.hierarchy import HierarchicalSegmenter
from geohier.models.segmentation import Downsampled

MIDDLE = 183
"""Day of the year of all dates."""


class OfDates(nn.Module):
    """A network of dates as one of an image: that of so many dates, a year apart, all of them seen.

    Args:
        network: as of `at_image_resolution`, or before; `reads_dates` says whether it is one.
        dates: how many.

    Shape:
        - image: `(B, T * C, H, W)`
        - logits: `(B, K, H, W)`
    """

    def __init__(self, network: nn.Module, dates: int) -> None:
        super().__init__()
        self.network = network
        self.when = torch.tensor([[MIDDLE, age] for age in range(dates)])

    def told(self, image: Tensor) -> Tensor:
        """Return the image as the network is given it."""
        return with_dates(image, None, self.when)

    def forward(self, image: Tensor) -> Tensor:
        scores: Tensor = self.network(self.told(image))
        return scores


def reads_dates(network: nn.Module) -> bool:
    """Return whether a network reads a stack of dates."""
    inner = network.network if isinstance(network, Downsampled | OfDates) else network
    return isinstance(inner, HierarchicalSegmenter) and inner.reads_dates


def image_channels(network: nn.Module, bands: int) -> int:
    """Return the channels of a network's smallest image: its bands, and of a date what it tells."""
    return bands + CHANNELS if reads_dates(network) else bands
