"""Attention of a cell to all cells of the tile."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from geohier.layers.attention_heads import Heads, starting_at_nothing


class GlobalAttention(nn.Module):
    """Each cell looks at all cells of its level: what it finds is to be added.

    Vaswani et al. 2017, Attention Is All You Need. Where a cell is, it knows by a convolution of
    each channel over its neighbours, which serves tiles of any size (Chu et al. 2021, Conditional
    Positional Encodings for Vision Transformers). The answer depends on the whole tile, so it is
    for coarse levels of models whose tiles are as large as their chips; work grows with the square
    of the number of cells.

    Args:
        channels: of the level.
        heads: how many.
        head_channels: channels of each.

    Shape:
        - level: `(B, C, H, W)`
        - returns: the same
    """

    def __init__(self, channels: int, heads: int, head_channels: int) -> None:
        super().__init__()
        self.position = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.heads = Heads(channels, heads, head_channels, count=3)
        self.project = starting_at_nothing(heads * head_channels, channels)

    def forward(self, level: Tensor) -> Tensor:
        projected = self.heads(level + self.position(level))
        query, key, value = (one.flatten(-2).transpose(-1, -2) for one in projected)
        found = functional.scaled_dot_product_attention(query, key, value)  # (B, N, H * W, D)
        together = found.transpose(-1, -2).flatten(1, 2)
        answer: Tensor = self.project(torch.unflatten(together, -1, level.shape[-2:]))
        return answer
