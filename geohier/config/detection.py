"""The config of a network that finds objects."""

from typing import Annotated, Literal, Self

from pydantic import Field, PositiveFloat, model_validator

from geohier.config.section import Section

type Task = Literal["segmentation", "detection"]


class DetectionConfig(Section):
    """How objects are learnt and found, where task is detection.

    They are points: the middles of what the labels have, which may be points, boxes or polygons.
    """

    spread_px: Annotated[float, Field(ge=0.5, le=32)] = 1.5
    """Standard deviation of the spot that stands for an object in training, in the network's
    pixels: how far off its middle a pixel is still no clear mistake."""
    loss: Literal["focal", "cross_entropy"] = "focal"
    """focal: that of CenterNet, in which the many easy pixels hardly count; cross_entropy: of the
    spots as probabilities."""
    weight: PositiveFloat = 20.0
    """How much more than ground the midst of a spot counts in cross_entropy."""
    apart_m: PositiveFloat | None = None
    """Smallest distance of two objects of a class, in metres; null: 2 spread_px."""
    match_m: PositiveFloat = 5.0
    """How near to a true object, in metres, one that was found is right: by this the epoch that is
    kept and the threshold of the scores are chosen, on the choose blocks."""

    def apart_px(self, pixel_m: float) -> float:
        """Return the smallest distance of two objects in pixels of so many metres."""
        return 2 * self.spread_px if self.apart_m is None else self.apart_m / pixel_m

    @model_validator(mode="after")
    def _weight_is_of_a_loss(self) -> Self:
        if (
            self.loss != "cross_entropy"
            and self.weight != type(self).model_fields["weight"].default
        ):
            raise ValueError(
                f"weight is of loss cross_entropy, but loss is {self.loss}: leave it out, or set "
                "loss to cross_entropy"
            )
        return self
