"""How cells of the levels look at each other, once the levels are fused."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, PositiveInt, model_validator

from geohier.config.section import Section

type AttentionKind = Literal[
    "none", "self", "channel", "spatial", "channel_spatial", "cross_level", "hierarchical"
]
WITHIN_LEVELS = ("self", "hierarchical")
ACROSS_LEVELS = ("cross_level", "hierarchical")
GATES = ("channel", "spatial", "channel_spatial")
ACROSS_ALL = ("none", "cross_level")
"""Kinds that do not go by a number of levels."""


def _odd(side: int) -> int:
    if side % 2 == 0:
        raise ValueError(f"{side} is even, so no cell is in the middle: give {side + 1}")
    return side


type OddSide = Annotated[int, Field(ge=1, le=31), AfterValidator(_odd)]


class AttentionConfig(Section):
    """How cells of the levels look at each other, once the levels are fused."""

    kind: AttentionKind = "none"
    """self: cells look at other cells of their level; cross_level: cells look at the coarser levels
    around their place; hierarchical: self, then cross_level; channel, spatial, channel_spatial:
    channels, places, or both are weighed (CBAM); none: no attention. Answers of channel,
    channel_spatial and reach global depend on the whole tile."""
    levels: PositiveInt = 2
    """Levels, counted from the coarsest, whose cells look around or are weighed (all but
    cross_level, which takes them all)."""
    reach: Literal["window", "global"] = "window"
    """How far cells look within their level (self, hierarchical). window: at the cells around them;
    global: at all cells of the tile, with work that grows with the square of their number."""
    window: OddSide = 7
    """Side of the square around a cell that it looks at, in cells of its level (reach window)."""
    cells: OddSide = 3
    """Side of the square of cells of each coarser level that a cell looks at (cross_level,
    hierarchical)."""
    heads: Annotated[int, Field(ge=1, le=64)] = 4
    """Looks at a time, each with weights of its own (self, cross_level, hierarchical)."""
    head_channels: Annotated[int, Field(ge=1, le=1024)] = 16
    """Channels of each look."""

    @model_validator(mode="after")
    def _options_have_their_kind(self) -> Self:
        for key, kinds in (
            ("levels", (*WITHIN_LEVELS, *GATES)),
            ("reach", WITHIN_LEVELS),
            ("window", WITHIN_LEVELS),
            ("cells", ACROSS_LEVELS),
            ("heads", (*WITHIN_LEVELS, *ACROSS_LEVELS)),
            ("head_channels", (*WITHIN_LEVELS, *ACROSS_LEVELS)),
        ):
            changed = getattr(self, key) != type(self).model_fields[key].default
            if changed and self.kind not in kinds:
                raise ValueError(
                    f"{key} is of kind {' or '.join(dict.fromkeys(kinds))}, but kind is "
                    f"{self.kind}: leave it out"
                )
        if self.reach == "global" and self.window != type(self).model_fields["window"].default:
            raise ValueError("window is of reach window, but reach is global: leave it out")
        return self
