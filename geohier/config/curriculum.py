"""In which order a training meets its chips."""

from typing import Literal

from pydantic import PositiveInt

from geohier.config.section import Section, Share


class CurriculumConfig(Section):
    """In which order a training meets its chips: of several that are drawn, which one is taken."""

    difficulty: Literal["entropy", "loss", "scale"] | None = None
    """What makes a chip hard. entropy: many classes in it; loss: what chips around there have cost
    so far; scale: fine pixels, so that coarse ones come first (augment.scale must leave a choice);
    null: no curriculum."""
    order: Literal["easy_first", "hard_first"] = "easy_first"
    """hard_first is the control: the same pace, the other way round."""
    start: Share = 0.25
    """Share of the places, the easiest ones, that the first epoch is drawn from."""
    epochs: PositiveInt = 10
    """Epochs after which all places come alike."""
