"""How far each level of a network looks."""

import torch
from torch import Tensor, nn

from geohier.models.dated import OfDates, reads_dates
from geohier.models.level_features import level_features
from geohier.models.receptive_field import ReceptiveField, measure_receptive_field

MIXTURES = 4
"""Random sums of a level's channels that stand for it: gradients of so many cost little memory."""

LARGEST_PX = 1024


def measure_level_fields(
    network: nn.Module, bands: int, strides: tuple[int, ...], *, seed: int = 0
) -> tuple[ReceptiveField, ...]:
    """Return how far each level looks, finest first, in the network's own pixels.

    Args:
        network: as of `level_features`, at the resolution at which it was fitted.
        bands: bands of its image.
        strides: of its levels, finest first.
        seed: of the random images.

    Raises:
        ModelError: a level does not depend on the image.
    """
    return tuple(
        measure_receptive_field(
            _Level(OfDates(network, 1) if reads_dates(network) else network, level, seed),
            bands,
            stride=strides[-1],
            seed=seed,
            largest_px=LARGEST_PX,
        )
        for level in range(len(strides))
    )


class _Level(nn.Module):
    """Mixtures of one level's channels, as large as the image."""

    def __init__(self, network: nn.Module, level: int, seed: int) -> None:
        super().__init__()
        self.network = network
        self.level = level
        self.seed = seed

    def forward(self, image: Tensor) -> Tensor:
        features = level_features(self.network, image)[self.level]
        generator = torch.Generator().manual_seed(self.seed)
        weights = torch.randn(MIXTURES, features.shape[1], generator=generator)
        mixed = torch.einsum("mc,bchw->bmhw", weights, features)
        stride = image.shape[-1] // mixed.shape[-1]
        return mixed.repeat_interleave(stride, 2).repeat_interleave(stride, 3)
