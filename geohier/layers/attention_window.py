"""Attention of a cell to the cells around it, wherever the tile begins."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from geohier.layers.attention_blocks import BLOCK, blocks, unblocked
from geohier.layers.attention_heads import Heads, starting_at_nothing


class WindowAttention(nn.Module):
    """Each cell looks at the square of cells around it: what it finds is to be added.

    The square slides with the cell, as in Ramachandran et al. 2019, Stand-Alone Self-Attention in
    Vision Models, and Hassani et al. 2023, Neighborhood Attention Transformer: unlike windows of a
    fixed grid, it does not depend on where the tile begins. Cells are worked on in blocks, each
    with a halo of cells around it, as in Vaswani et al. 2021, HaloNet; a mask leaves each cell its
    own square, so that the blocks change nothing. Cells beyond the tile's edge do not count. Each
    head learns a bias for each place of the square (Shaw et al. 2018). Memory grows with the number
    of cells.

    Args:
        channels: of the level.
        heads: how many.
        head_channels: channels of each.
        window: side of the square in cells, odd.

    Shape:
        - level: `(B, C, H, W)`
        - returns: the same
    """

    def __init__(self, channels: int, heads: int, head_channels: int, window: int) -> None:
        super().__init__()
        self.reach = window // 2
        self.heads = Heads(channels, heads, head_channels, count=3)
        self.bias = nn.Parameter(torch.zeros(heads, window, window))
        self.project = starting_at_nothing(heads * head_channels, channels)

    def forward(self, level: Tensor) -> Tensor:
        query, key, value = self.heads(level)
        found = functional.scaled_dot_product_attention(
            blocks(query),
            blocks(key, self.reach),
            blocks(value, self.reach),
            attn_mask=self._mask(level).to(query.dtype),
        )
        together = unblocked(found, *level.shape[-2:]).flatten(1, 2)
        answer: Tensor = self.project(together)
        return answer

    def _mask(self, level: Tensor) -> Tensor:
        """Return what is added to the scores: `(B * n, N, cells, cells with halo)`."""
        batch, _, height, width = level.shape
        here = torch.ones(1, 1, 1, height, width, device=level.device)
        mask = window_mask(self.bias, blocks(here) > 0, blocks(here, self.reach) > 0)
        return mask.repeat(batch, 1, 1, 1)


def window_mask(table: Tensor, asking: Tensor, asked: Tensor) -> Tensor:
    """Return what is added to the scores of cells in blocks: biases, -inf of what does not count.

    Args:
        table: `(N, window, window)` bias of each place of the square.
        asking: `(n, 1, cells, 1)` cells that look; the others may look anywhere, or their softmax
            would have no terms: what they find is of no use.
        asked: `(n, 1, cells with halo, 1)` cells that are looked at.

    Shape:
        - returns: `(n, N, cells, cells with halo)`
    """
    places = _places(table.shape[-1]).to(table)
    bias = torch.einsum("pri,qsj,hij->hpqrs", places, places, table)
    bias = bias.flatten(3, 4).flatten(1, 2)  # (N, cells, cells with halo)
    near = torch.einsum("pri,qsj->pqrs", places, places).flatten(2, 3).flatten(0, 1) > 0
    counts = near & (asked.transpose(-1, -2) | ~asking)
    return bias.masked_fill(~counts, -torch.inf)


def _places(window: int) -> Tensor:
    """Return `(BLOCK, BLOCK + halo, window)`: 1 where a cell of the halo has a place of a window.

    A product with it picks biases without an index, whose gradient is the same in each run.
    """
    places = torch.zeros(BLOCK, BLOCK + window - 1, window)
    for cell in range(BLOCK):
        places[cell, cell : cell + window] = torch.eye(window)
    return places
