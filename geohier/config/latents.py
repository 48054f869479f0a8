"""What a hierarchy draws where several answers are possible: latents, level by level."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from geohier.config.section import Section


class LatentsConfig(Section):
    """What a network draws where an image allows several answers, on its coarsest levels."""

    levels: Annotated[int, Field(ge=0, le=7)] = 0
    """Levels, counted from the coarsest, that have latents; 0: none. `predict --sample SEED` draws
    a map; otherwise predictions go by their means."""
    channels: Annotated[int, Field(ge=1, le=64)] = 2
    """Numbers that each cell of such a level draws."""
    weight: Annotated[float, Field(gt=0, le=1e6)] = 1.0
    """Weight of what latents may tell of the labels in training (Kullback-Leibler divergence),
    beside the losses of the classes; 1 is that of the evidence bound with cross-entropy alone. The
    larger it is, the less is left to chance."""
    balance: Annotated[float, Field(ge=0.25, le=16)] = 4.0
    """How much the mean over cells of a level weighs beside that of the next coarser one. 4: as the
    evidence bound has it, all cells alike; 1: all levels alike; more: details cost more than
    regions."""

    @model_validator(mode="after")
    def _options_have_levels(self) -> Self:
        for key in ("channels", "weight", "balance"):
            if not self.levels and getattr(self, key) != type(self).model_fields[key].default:
                raise ValueError(
                    f"{key} is of latents, but levels is 0: leave it out, or set levels"
                )
        return self
