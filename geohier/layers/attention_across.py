"""Attention across levels: a cell looks at the coarser levels around its place."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from geohier.layers.attention_blocks import BLOCK, blocks, coarser_blocks, counts, unblocked
from geohier.layers.attention_heads import Heads, starting_at_nothing
from geohier.layers.used import Used


class CrossLevelAttention(nn.Module):
    """Each cell looks at itself and at k x k cells of each coarser level around its place.

    One softmax goes over all of them, so that a cell says how much it takes from each level. Near
    things are seen finely and far ones coarsely, as in Yang et al. 2021, Focal Attention for
    Long-Range Interactions in Vision Transformers; but each level is one of the pyramid's. Each
    head learns a bias for each distance, in rows and in columns of the finer level, to each coarser
    cell. Cells beyond the tile's edge do not count. Exact, and memory grows with the pixels.

    Args:
        channels: of each level, finest first.
        heads: how many.
        head_channels: channels of each.
        cells: k, odd.

    Shape:
        - levels: `(B, C_l, H_l, W_l)` each, finest first, each half as large as the one before
        - returns: the same; the coarsest has nothing to look at and stays as it is
        - used: `cross_level.l` of all but the coarsest, `(B, L - l, H_l, W_l)`: what a cell takes
          from its own level and from each coarser one, mean over the heads; sums to 1
    """

    def __init__(self, channels: Sequence[int], heads: int, head_channels: int, cells: int) -> None:
        super().__init__()
        shape, finer = (heads, head_channels), channels[:-1]
        self.asked = nn.ModuleList(Heads(count, *shape, count=2) for count in channels)
        self.asking = nn.ModuleList(Heads(count, *shape, count=1) for count in finer)
        self.project = nn.ModuleList(starting_at_nothing(heads * head_channels, c) for c in finer)
        self.places = nn.ModuleList(
            nn.ModuleList(
                _Places(heads, cells, 2 ** (coarser - level))
                for coarser in range(level + 1, len(channels))
            )
            for level in range(len(finer))
        )

    def forward(self, levels: Sequence[Tensor]) -> tuple[list[Tensor], Used]:
        asked = [of(level) for of, level in zip(self.asked, levels, strict=True)]
        answers, used = list(levels), {}
        for at, (asking, project) in enumerate(zip(self.asking, self.project, strict=True)):
            (query,) = asking(levels[at])
            found, shares = self._look(at, query, asked[at:])
            answers[at] = levels[at] + project(found)
            used[f"cross_level.{at}"] = shares
        return answers, used

    def _look(
        self, at: int, query: Tensor, asked: Sequence[tuple[Tensor, Tensor]]
    ) -> tuple[Tensor, Tensor]:
        """Return what the cells of a level find, and how much of each level."""
        height, width = query.shape[-2:]
        asking = blocks(query * query.shape[2] ** -0.5)
        (own_key, own_value), *coarser = asked
        scores, values = [(asking * blocks(own_key)).sum(-1, keepdim=True)], []
        for place, (key, value) in zip(self._places(at), coarser, strict=True):
            scores.append(place(asking, key, height, width))
            values.append(place.cut(value, height, width))
        weights = torch.cat(scores, dim=-1).softmax(-1)
        own, *others = torch.split(weights, [score.shape[-1] for score in scores], dim=-1)
        found = own * blocks(own_value)
        for weight, value in zip(others, values, strict=True):
            found = found + weight.to(value.dtype) @ value
        shares = torch.stack([one.sum(-1) for one in (own, *others)], dim=-1).mean(1, keepdim=True)
        together = unblocked(found, height, width).flatten(1, 2)
        return together, unblocked(shares, height, width)[:, 0]

    def _places(self, at: int) -> list["_Places"]:
        places = self.places[at]
        assert isinstance(places, nn.ModuleList)
        return [place for place in places if isinstance(place, _Places)]


class _Places(nn.Module):
    """The k x k cells around each cell's place on a level `factor` times as coarse."""

    def __init__(self, heads: int, cells: int, factor: int) -> None:
        super().__init__()
        self.reach, self.factor = cells // 2, factor
        self.rows = nn.Parameter(torch.zeros(heads, cells, factor))
        self.cols = nn.Parameter(torch.zeros(heads, cells, factor))

    def cut(self, coarser: Tensor, height: int, width: int) -> Tensor:
        """Return the coarser cells of each block of a level of this size, and those around."""
        return coarser_blocks(coarser, self.factor, self.reach, *counts(height, width))

    def forward(self, asking: Tensor, key: Tensor, height: int, width: int) -> Tensor:
        """Return the scores `(B * n, N, cells, coarser cells)`, -inf of those that do not count."""
        scores = asking @ self.cut(key, height, width).transpose(-1, -2)
        bias = self._bias(key.shape[-2], key.shape[-1], height, width)
        both: Tensor = torch.unflatten(scores, 0, (-1, len(bias))) + bias
        return both.flatten(0, 1)

    def _bias(self, rows: int, cols: int, height: int, width: int) -> Tensor:
        down = self._along(self.rows, rows, counts(height, width)[0])
        right = self._along(self.cols, cols, counts(height, width)[1])
        bias = down[:, :, None, :, None, :, None] + right[:, None, :, None, :, None, :]
        return bias.movedim(0, 2).flatten(5, 6).flatten(3, 4).flatten(0, 1)

    def _along(self, table: Tensor, coarser: int, count: int) -> Tensor:
        """Return biases `(N, blocks, cells, coarser cells)` along rows or columns.

        They are picked by a product, whose gradient is the same in each run.
        """
        cell = torch.arange(count * BLOCK, device=table.device)
        first = cell // BLOCK * BLOCK // self.factor - self.reach
        around = max(1, BLOCK // self.factor) + 2 * self.reach
        there = first[:, None] + torch.arange(around, device=table.device)
        place = there - (cell // self.factor)[:, None] + self.reach
        is_place = place[..., None] == torch.arange(table.shape[1], device=table.device)
        by_cell = table.repeat(1, 1, -(-len(cell) // self.factor))[..., : len(cell)]
        bias = torch.einsum("csk,nkc->ncs", is_place.to(table), by_cell)
        counts_here = is_place.any(-1) & (there >= 0) & (there < coarser)
        return torch.unflatten(bias.masked_fill(~counts_here, -torch.inf), 1, (count, BLOCK))
