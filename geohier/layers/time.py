"""The dates of a stack become one, on each level by itself."""

from collections.abc import Sequence

from torch import Tensor, nn

from geohier.config.time import TimeConfig
from geohier.layers.dates import Stack
from geohier.layers.time_attention import DateAttention
from geohier.layers.time_state import DateState
from geohier.layers.used import Used


def build_time(config: TimeConfig, channels: Sequence[int]) -> "LevelTime | None":
    """Return what makes one of the dates of each level, None for a network of one image.

    Args:
        config: how.
        channels: of each level, finest first.
    """
    return None if config.kind == "none" else LevelTime(config, channels)


class LevelTime(nn.Module):
    """Makes one level of the levels of several dates; at first their mean where they saw a cell.

    A date that did not see a cell counts for nothing there, and a cell that none saw is 0. The
    order in which dates come changes nothing: each carries when it was taken.

    Args:
        config: how dates become one.
        channels: of each level, finest first.

    Shape:
        - levels: `(B, T, C_l, H_l, W_l)` each, finest first
        - returns: `(B, C_l, H_l, W_l)` each
        - used: `time.l`, `(B, T, H_l, W_l)`, which sums to 1 where a date saw the cell: how much
          each date brought
    """

    def __init__(self, config: TimeConfig, channels: Sequence[int]) -> None:
        super().__init__()
        self.drop = config.drop
        self.parts = nn.ModuleList(_part(config, count) for count in channels)

    def forward(self, levels: Sequence[Tensor], stack: Stack) -> tuple[list[Tensor], Used]:
        answers, used = [], {}
        for at, (part, level) in enumerate(zip(self.parts, levels, strict=True)):
            seen = stack.seen_by(*level.shape[-2:])
            answer, used[f"time.{at}"] = part(level, seen, stack.days, stack.ages)
            answers.append(answer)
        return answers, used


def _part(config: TimeConfig, channels: int) -> nn.Module:
    if config.kind == "ltae":
        return DateAttention(channels, config.heads)
    return DateState(channels, config.state_channels)
