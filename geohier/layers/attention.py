"""Attention between fusion and merge, as a config asks for it."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from geohier.config.attention import AttentionConfig
from geohier.layers.attention_across import CrossLevelAttention
from geohier.layers.attention_gates import Gates
from geohier.layers.attention_global import GlobalAttention
from geohier.layers.attention_window import WindowAttention
from geohier.layers.used import Used


def build_attention(config: AttentionConfig, channels: Sequence[int]) -> nn.Module | None:
    """Return the attention of a config, None where there is none.

    Whatever it is, it starts as if it were absent: what it adds to the levels is 0 at first.

    Args:
        config: which attention.
        channels: of each level, finest first; no fewer than the config has levels.
    """
    if config.kind == "none":
        return None
    across = config.heads, config.head_channels, config.cells
    if config.kind == "cross_level":
        return CrossLevelAttention(channels, *across)
    within = WithinLevels([_part(config, count) for count in channels[-config.levels :]])
    if config.kind == "hierarchical":
        return WithinThenAcross(within, CrossLevelAttention(channels, *across))
    return within


def _part(config: AttentionConfig, channels: int) -> nn.Module:
    """Return the attention within a level."""
    match config.kind:
        case "channel" | "spatial" | "channel_spatial" as kind:
            return Gates(channels, kind)
    if config.reach == "global":
        return GlobalAttention(channels, config.heads, config.head_channels)
    return WindowAttention(channels, config.heads, config.head_channels, config.window)


class WithinLevels(nn.Module):
    """Attention on the coarsest levels, each by itself.

    Args:
        parts: what is added to each of the coarsest levels, as a function of it.

    Shape:
        - levels: `(B, C_l, H_l, W_l)` each, finest first
        - returns: the same
        - used: `attention.l` of those levels, `(B, 1, H_l, W_l)` in [0, 1]: how long what was added
          is, beside the length of what was there and of what was added
    """

    def __init__(self, parts: Sequence[nn.Module]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def forward(self, levels: Sequence[Tensor]) -> tuple[list[Tensor], Used]:
        first, answers, used = len(levels) - len(self.parts), list(levels), {}
        for at, part in enumerate(self.parts, start=first):
            added = part(levels[at])
            answers[at] = levels[at] + added
            used[f"attention.{at}"] = share_of_added(levels[at], added)
        return answers, used


class WithinThenAcross(nn.Module):
    """Cells look around on the coarsest levels first, and at coarser levels then."""

    def __init__(self, within: nn.Module, across: nn.Module) -> None:
        super().__init__()
        self.within, self.across = within, across

    def forward(self, levels: Sequence[Tensor]) -> tuple[list[Tensor], Used]:
        looked, used = self.within(levels)
        answers, more = self.across(looked)
        return answers, used | more


def share_of_added(level: Tensor, added: Tensor) -> Tensor:
    """Return how long what was added is, beside what was there and what was added, in [0, 1]."""
    there, new = (one.detach().float().norm(dim=1, keepdim=True) for one in (level, added))
    share: Tensor = new / (there + new).clamp(min=torch.finfo(torch.float32).tiny)
    return share
