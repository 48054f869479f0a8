"""Several draws of a network with latents as one answer: the mean of their probabilities."""

import torch
from torch import Tensor, nn

from geohier.errors import ModelError
from geohier.models.sampled import SampledSegmenter, has_latents


class MeanOfDraws(nn.Module):
    """Answers with the logarithm of the mean probabilities of so many draws.

    Raises:
        ModelError: the network has no latents.
    """

    def __init__(self, network: nn.Module, draws: int) -> None:
        super().__init__()
        if not has_latents(network):
            raise ModelError("this model has no latents: nothing can be drawn")
        self.drawn = nn.ModuleList(SampledSegmenter(network, seed) for seed in range(draws))

    def forward(self, image: Tensor) -> Tensor:
        probabilities = torch.stack([one(image).softmax(1) for one in self.drawn])
        return probabilities.mean(0).clamp_min(torch.finfo(torch.float32).tiny).log()
