"""Low-rank adapters: an encoder learns a little beside weights that stay as they are."""

from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from geohier.errors import ConfigError
from geohier.models.stages import ENCODER, encoder_body

ATTENTION = "attn"
"""What all libraries call the attention of a block."""

POSITIONS = "cpb_mlp"
"""What Swin v2 learns its attention's position bias by, from two numbers a position."""


class LowRank(nn.Module):
    """A matrix plus the product of two narrow ones, of which the second is 0 at first.

    Hu et al. 2021, LoRA: Low-Rank Adaptation of Large Language Models (arXiv 2106.09685), with the
    scale of 1 that it has for the rank that is tried first.

    Args:
        weight: the matrix, `(out, in)`.
        rank: rank of what is added.
        generator: draws the first one.
    """

    def __init__(self, weight: Tensor, rank: int, generator: torch.Generator) -> None:
        super().__init__()
        out, into = weight.shape
        drawn = torch.randn(rank, into, generator=generator) / sqrt(into)
        self.down = nn.Parameter(drawn.to(weight.device))
        self.up = nn.Parameter(torch.zeros(out, rank, device=weight.device))

    def forward(self, weight: Tensor) -> Tensor:
        return weight + self.up @ self.down


def add_adapters(network: nn.Module, rank: int, seed: int) -> None:
    """Freeze the encoder of a network, and give its attention adapters, in place.

    What answers is the same until the adapters learn. What is not of the encoder's library (the
    pyramid over a plain transformer, the decoder) learns as it did.

    Args:
        network: a network of `build_segmenter`.
        rank: rank of the adapters; 0 leaves the network alone.
        seed: of their first weights.

    Raises:
        ConfigError: the encoder has no attention, or one of fewer channels than the rank.
    """
    if not rank:
        return
    body = encoder_body(network.get_submodule(ENCODER))
    layers = _attention_layers(body)
    narrowest = min((min(one.weight.shape) for one in layers), default=0)
    if not layers:
        raise ConfigError(
            "fine_tuning.lora_rank: the encoder has no attention to adapt: set it to 0, or take a "
            "transformer, such as vit_tiny_patch16_224"
        )
    if rank >= narrowest:
        raise ConfigError(
            f"fine_tuning.lora_rank: {rank} is no low rank for the {narrowest} channels of the "
            "encoder's attention: lower it"
        )
    body.requires_grad_(requires_grad=False)
    generator = torch.Generator().manual_seed(seed)
    for layer in layers:
        parametrize.register_parametrization(
            layer, "weight", LowRank(layer.weight, rank, generator)
        )


def _attention_layers(body: nn.Module) -> list[nn.Linear]:
    return [
        module
        for name, module in body.named_modules()
        if isinstance(module, nn.Linear) and _attends(name.split("."))
    ]


def _attends(path: list[str]) -> bool:
    """Return whether a module works on what is attended to; Swin v2's positions are not."""
    return ATTENTION in path and POSITIONS not in path


def merge_adapters(network: nn.Module) -> None:
    """Add what the adapters have learnt to the weights, and take the adapters away, in place."""
    adapted = [one for one in network.modules() if parametrize.is_parametrized(one, "weight")]
    for module in adapted:
        parametrize.remove_parametrizations(module, "weight", leave_parametrized=True)
