"""What every part of a config is: frozen, and refusing keys that it does not know."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

type Share = Annotated[float, Field(ge=0, lt=1)]


class Section(BaseModel):
    """A part of the config: frozen, refusing keys that it does not know."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )
