"""The config of a hierarchy: its levels, how they are fused, and how they are merged."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from geohier.config.attention import ACROSS_ALL, AttentionConfig
from geohier.config.latents import LatentsConfig
from geohier.config.memory import MemoryConfig
from geohier.config.second import SecondConfig
from geohier.config.section import Section
from geohier.config.time import TimeConfig

type Fusion = Literal["none", "sum", "concat", "weighted", "pan"]
type Refine = Literal["none", "conv", "residual"]
type Context = Literal["none", "pooling", "aspp"]
type Merge = Literal["sum", "concat", "gated"]
NORM_GROUPS = 32
"""Groups of a group normalisation: channels are a multiple of it, as smp's pyramid has them too."""

FPN_LEVELS = 4
"""Levels that a plain feature pyramid merges; a hierarchy's finest is the same as its."""

type Rate = Annotated[int, Field(ge=1, le=256)]

type Norm = Literal["batch", "layer", "group"]


class HierarchyConfig(Section):
    """The parts of decoder hierarchy. As they stand here, they make an fpn of four levels."""

    levels: Annotated[int, Field(ge=2, le=7)] = 4
    """Levels, each half as fine as the one before; the finest has a stride of 2 ** (encoder_depth -
    3) px, as that of an fpn has. Those beyond encoder_depth are made of the encoder's coarsest."""
    extra_levels: Literal["pool", "conv"] = "pool"
    """How levels beyond the encoder's are made: maxima over 2 x 2 cells, or strided convolutions
    of 3 x 3."""
    context: Context = "none"
    """What the coarsest level sees of its surroundings before levels are fused. pooling: means of
    the whole tile, in 1, 2, 3 and 6 parts a side, as in UPerNet; aspp: convolutions whose cells lie
    apart by aspp_rates."""
    aspp_rates: tuple[Rate, ...] = Field(default=(2, 4, 6), min_length=1, max_length=6)
    """Distances of cells, in cells of the coarsest level."""
    fusion: Fusion = "sum"
    """How levels tell each other what they see. sum: each coarser one is added to the next finer
    one (FPN); concat: they stand side by side and a convolution mixes them; weighted: sums with
    learnt weights, down and up again (BiFPN); pan: as sum, then up again (PANet); none: not."""
    repeats: Annotated[int, Field(ge=1, le=4)] = 1
    """Times that weighted goes down and up."""
    refine: Refine = "none"
    """What each fused level goes through. conv: a convolution of 3 x 3; residual: the same, added
    to what it was given."""
    merge: Merge = "sum"
    """How levels become one map at the finest one's resolution. sum; concat: side by side; gated:
    each pixel weighs the levels by itself."""
    norm: Norm = "batch"
    """Normalisation within the decoder. batch; layer: over the channels of each pixel; group: over
    32 groups of channels and the whole tile, whose answers depend on all of it."""
    separable: bool = False
    """Whether convolutions of 3 x 3 go channel by channel, and one of 1 x 1 mixes the channels."""
    align_corners: bool = False
    """Whether maps are enlarged corner on corner, as smp does it: where a pixel of the tile looks
    then depends on the size of the tile."""
    time: TimeConfig = TimeConfig()
    """How the levels of several dates become one."""
    second: SecondConfig = SecondConfig()
    """A second sensor, at which coarse levels look before they are fused."""
    attention: AttentionConfig = AttentionConfig()
    """How cells of the fused levels look at each other, before they are merged."""
    memory: MemoryConfig = MemoryConfig()
    """What cells then read of the ground that the network has learnt from."""
    latents: LatentsConfig = LatentsConfig()
    """What is then drawn where an image allows several answers."""

    @model_validator(mode="after")
    def _attention_has_its_levels(self) -> "HierarchyConfig":
        wanted, kind = self.attention.levels, self.attention.kind
        if kind not in ACROSS_ALL and wanted > self.levels:
            raise ValueError(
                f"attention.levels is {wanted}, but levels is {self.levels}: lower the one or "
                "raise the other"
            )
        return self

    @model_validator(mode="after")
    def _latents_have_their_levels(self) -> "HierarchyConfig":
        if self.latents.levels > self.levels:
            raise ValueError(
                f"latents.levels is {self.latents.levels}, but levels is {self.levels}: lower the "
                "one or raise the other"
            )
        return self

    @model_validator(mode="after")
    def _second_has_its_levels(self) -> "HierarchyConfig":
        if self.second.bands and self.second.levels > self.levels:
            raise ValueError(
                f"second.levels is {self.second.levels}, but levels is {self.levels}: lower the "
                "one or raise the other"
            )
        if self.second.bands and self.time.kind != "none":
            raise ValueError(
                "second is of networks of one image, but time reads several: leave one of them out"
            )
        return self

    @model_validator(mode="after")
    def _options_have_their_part(self) -> "HierarchyConfig":
        given, default = self.model_fields_set, HierarchyConfig.model_fields
        for key, part, value in (
            ("aspp_rates", "context", "aspp"),
            ("repeats", "fusion", "weighted"),
        ):
            changed = key in given and getattr(self, key) != default[key].default
            if changed and getattr(self, part) != value:
                raise ValueError(
                    f"{key} is of {part} {value}, but {part} is {getattr(self, part)}: leave it "
                    f"out, or set {part} to {value}"
                )
        return self
