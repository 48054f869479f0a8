"""How a network makes one of several dates of a place."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from geohier.config.section import Section, Share


class TimeConfig(Section):
    """How the levels of several dates become one, before they are fused."""

    kind: Literal["none", "ltae", "convlstm"] = "none"
    """none: the network reads one image; ltae: each cell weighs the dates by what it looks like on
    them and by when they were taken (L-TAE); convlstm: a cell goes through them from the oldest to
    the newest, and keeps or forgets. Dates come from data.dates, or from scene files with dates."""
    heads: Annotated[int, Field(ge=1, le=64)] = 4
    """Weights that a cell has for each date, each for a part of its channels (ltae)."""
    state_channels: Annotated[int, Field(ge=1, le=1024)] = 32
    """Numbers that a cell keeps from date to date (convlstm)."""
    drop: Share = 0.0
    """Chance of each date of a chip, but one, to be left out while training, as clouds do it."""

    @model_validator(mode="after")
    def _options_have_their_kind(self) -> Self:
        for key, kinds in (
            ("heads", ("ltae",)),
            ("state_channels", ("convlstm",)),
            ("drop", ("ltae", "convlstm")),
        ):
            changed = getattr(self, key) != type(self).model_fields[key].default
            if changed and self.kind not in kinds:
                raise ValueError(
                    f"{key} is of kind {' or '.join(kinds)}, but kind is {self.kind}: leave it out"
                )
        return self
