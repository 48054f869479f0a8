"""What a network remembers of the ground that it has learnt from."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from geohier.config.section import Section


class MemoryConfig(Section):
    """What a network remembers of the ground that it has learnt from, level by level."""

    slots: Annotated[int, Field(ge=0, le=256)] = 0
    """Prototypes of each class, or of all motifs together, on each level; 0: no memory. They are
    written while training alone, and part of the model."""
    of: Literal["classes", "motifs"] = "classes"
    """classes: prototypes of what labels say; motifs: of whatever comes often, without labels."""
    keep: Annotated[float, Field(gt=0, lt=1)] = 0.99
    """Share of a prototype that a step keeps; the rest is the mean of the cells like it."""

    @model_validator(mode="after")
    def _options_have_slots(self) -> Self:
        for key in ("of", "keep"):
            if not self.slots and getattr(self, key) != type(self).model_fields[key].default:
                raise ValueError(
                    f"{key} is of a memory, but slots is 0: leave it out, or set slots"
                )
        return self
