"""A second sensor that has not been everywhere."""

from typing import Annotated, Self

from pydantic import Field, PositiveInt, model_validator

from geohier.config.attention import OddSide
from geohier.config.section import Section, Share


class SecondConfig(Section):
    """A second sensor, which the first one's cells look at on coarse levels, and which may miss."""

    bands: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """Names of the bands that are its own, such as [VV, VH], of those that data.bands has; empty:
    there is no second sensor. A pixel is valid without them, and a scene may lack them."""
    levels: PositiveInt = 2
    """Levels, counted from the coarsest, whose cells look at it."""
    window: OddSide = 5
    """Side of the square of its cells around a cell that the cell looks at."""
    heads: Annotated[int, Field(ge=1, le=64)] = 4
    """Looks at a time, each with weights of its own."""
    head_channels: Annotated[int, Field(ge=1, le=1024)] = 16
    """Channels of each look."""
    channels: Annotated[int, Field(ge=1, le=1024)] = 32
    """Channels of its own encoder, a convolution for each halving."""
    drop: Share = 0.2
    """Chance of a chip to be shown without it while training."""

    @model_validator(mode="after")
    def _options_have_bands(self) -> Self:
        for key, field in type(self).model_fields.items():
            if not self.bands and getattr(self, key) != field.default:
                raise ValueError(
                    f"{key} is of a second sensor, but bands names none of its bands: leave it "
                    "out, or name them"
                )
        if len(set(self.bands)) < len(self.bands):
            raise ValueError(f"bands names one twice ({' '.join(self.bands)}): name each once")
        return self
