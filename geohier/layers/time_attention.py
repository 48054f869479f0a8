"""Attention over dates: each cell weighs them by itself."""

import math

import torch
from timm.layers.norm import LayerNorm2d
from torch import Tensor, nn

from geohier.layers.attention_heads import starting_at_nothing

PERIOD = 1000
"""Longest period of what tells days apart, over 2 pi, in days: that of the paper."""

YEAR = 365.25
"""Days of a year."""


class DateAttention(nn.Module):
    """Each cell weighs the dates that saw it, for each of its heads' channels by itself.

    Garnot and Landrieu 2020, Lightweight Temporal Self-Attention for Classifying Satellite Image
    Time Series (L-TAE): a query that is learnt, and is the same for all cells, is compared with a
    key of each date, made of the normalised cell and of when the date was; each head weighs its own
    part of the channels. Query and key are one linear map here, which is all that they can be
    together. The convolution of the fusion that follows stands for the paper's last layers. Half
    of the channels of a date's encoding tell its day of the year, half how long ago it was, so that
    dates of one season in several years differ too.

    Args:
        channels: of the level.
        heads: how many, each with an even share of the channels.

    Shape:
        - level: `(B, T, C, H, W)`
        - seen: `(B, T, H, W)`
        - days, ages: `(B, T)`, day of the year, and years before the newest
        - returns: `(B, C, H, W)`, and the mean weights of the heads `(B, T, H, W)`
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.norm = LayerNorm2d(channels)
        self.compare = starting_at_nothing(channels, heads)
        self.heads = heads

    def forward(
        self, level: Tensor, seen: Tensor, days: Tensor, ages: Tensor
    ) -> tuple[Tensor, Tensor]:
        told = date_encoding(days, ages, level.shape[2]).to(level.dtype)
        keys = self.norm(level.flatten(0, 1)) + told.flatten(0, 1)[..., None, None]
        scores = torch.unflatten(self.compare(keys), 0, seen.shape[:2])  # (B, T, N, H, W)
        weights = among_seen(scores, seen[:, :, None])
        parts = level.tensor_split(self.heads, dim=2)
        by_head = zip(weights.to(level.dtype).unbind(2), parts, strict=True)
        found = [(weight[:, :, None] * part).sum(1) for weight, part in by_head]
        return torch.cat(found, dim=1), weights.mean(2)


def among_seen(scores: Tensor, seen: Tensor) -> Tensor:
    """Return weights that sum to 1 over the dates that saw a cell; all 0 where none did.

    Shape:
        - scores: `(B, T, N, H, W)`
        - seen: `(B, T, 1, H, W)`
        - returns: `(B, T, N, H, W)`, float32
    """
    held = scores.float().masked_fill(~seen, -torch.inf)
    most = held.amax(1, keepdim=True).clamp(min=torch.finfo(torch.float32).min).detach()
    parts = (held - most).exp()
    return parts / parts.sum(1, keepdim=True).clamp(min=torch.finfo(torch.float32).tiny)


def date_encoding(days: Tensor, ages: Tensor, channels: int) -> Tensor:
    """Return sines and cosines of the day of the year, then of the days of the years since.

    Shape:
        - days, ages: `(B, T)`
        - returns: `(B, T, channels)`
    """
    half = -(-channels // 2)
    both = torch.cat([_waves(days, half), _waves(ages * YEAR, half)], dim=-1)
    return both[..., :channels]


def _waves(at: Tensor, channels: int) -> Tensor:
    pairs = -(-channels // 2)
    steps = torch.arange(pairs, device=at.device) * (-math.log(PERIOD) / pairs)
    angles = at.float()[..., None] * steps.exp()
    return torch.cat([angles.sin(), angles.cos()], dim=-1)[..., :channels]
