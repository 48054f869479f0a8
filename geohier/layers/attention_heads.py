"""What all attentions of the hierarchy share: heads, and an answer that starts as nothing."""

import torch
from timm.layers.norm import LayerNorm2d
from torch import Tensor, nn


class Heads(nn.Module):
    """Brings a level to so many tensors of heads, behind a normalisation of each cell by itself.

    Shape:
        - level: `(B, C, H, W)`
        - returns: `(B, N, D, H, W)` each, of N heads with D channels
    """

    def __init__(self, channels: int, heads: int, head_channels: int, count: int) -> None:
        super().__init__()
        self.shape = count, heads, head_channels
        self.norm = LayerNorm2d(channels)
        self.project = nn.Conv2d(channels, count * heads * head_channels, 1, bias=False)

    def forward(self, level: Tensor) -> tuple[Tensor, ...]:
        projected: Tensor = self.project(self.norm(level))
        return torch.unflatten(projected, 1, self.shape).unbind(1)


def starting_at_nothing(inner: int, channels: int) -> nn.Conv2d:
    """Return the projection of what heads found, whose answer is 0 until it has learnt."""
    project = nn.Conv2d(inner, channels, 1)
    nn.init.zeros_(project.weight)
    assert project.bias is not None
    nn.init.zeros_(project.bias)
    return project
