"""Samples of a training and random changes to them, in the words of a config."""

from typing import Annotated, Literal, Self

from pydantic import (
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from geohier.config.section import Section, Share


class ChipsConfig(Section):
    """The samples of a training run: squares cut at random positions."""

    size_px: Annotated[int, Field(ge=32, le=8192, multiple_of=32)] = 512
    """Side of a chip in the network's pixels (data.gsd_m x model.downsample), a multiple of 32."""
    batch_size: PositiveInt = 8
    """Chips per training step."""
    sampler: Literal["uniform", "balanced", "labelled", "objects", "hard"] = "uniform"
    """Where chips are cut. uniform: anywhere; labelled: around labelled pixels, for sparse labels;
    balanced: around labelled pixels, of rare classes as often as of others, up to balance_cap;
    objects: around objects, small ones as often as large ones; hard: a share of the chips are those
    of the epoch before, drawn again by their loss in it."""
    balance_cap: Annotated[float, Field(ge=1)] = 10.0
    """How many times its share of the labelled pixels a rare class is drawn at most (balanced)."""
    object_classes: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """Classes whose connected regions are objects; null: all but the commonest one (objects)."""
    hard_share: Share = 0.5
    """Share of the chips that are drawn again by their last loss (hard)."""
    scenes: Literal["area", "sqrt_area", "equal"] = "area"
    """How often a scene is drawn from: in proportion to its area (with a sampler: its labels, its
    objects), to the root of it, or as often as every other scene. A model meets new scenes, not
    new square kilometres: where a few large scenes drown the small ones, their share is better
    evened out."""
    per_epoch: PositiveInt | None = None
    """Chips per epoch; null (and megapixels_per_epoch null): as many as cover the area once."""
    megapixels_per_epoch: PositiveFloat | None = None
    """Megapixels of chips per epoch, instead of per_epoch."""

    @property
    def stated_per_epoch(self) -> int | None:
        """Chips per epoch, None where it depends on the scenes how many cover them."""
        if self.megapixels_per_epoch is None:
            return self.per_epoch
        return max(1, round(self.megapixels_per_epoch * 1e6 / self.size_px**2))

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if self.per_epoch is not None and self.megapixels_per_epoch is not None:
            raise ValueError("per_epoch and megapixels_per_epoch are both set: null one of them")
        return self


class AugmentConfig(Section):
    """Random changes to training chips."""

    flips: bool = True
    """Mirror left-right and up-down, each with a chance of one half."""
    rotations: bool = True
    """Turn by 0, 90, 180 or 270 degrees."""
    scale: tuple[PositiveFloat, PositiveFloat] = (0.8, 1.25)
    """Smallest and largest factor by which objects shrink or grow, as if the GSD varied: chips are
    resampled from the scene's own pixels, averaged where they shrink; [1, 1] turns it off."""
    gain: Share = 0.2
    """Largest relative change of contrast, one draw for all bands."""
    offset: NonNegativeFloat = 0.2
    """Largest shift of brightness in standard deviations, one draw for all bands."""
    band_gain: Share = 0.05
    """Largest further change of contrast, drawn for each band."""
    band_offset: NonNegativeFloat = 0.05
    """Largest further shift in standard deviations, drawn for each band."""
    gamma: Share = 0.2
    """Largest bend of the tone curve: at 0.2 the darkest and the brightest pixels move against
    the middle by 0.2 standard deviations; 0 turns it off."""
    haze: Share = 0.0
    """Largest share of the image that a bright veil of soft patches covers up, all bands alike."""
    noise: NonNegativeFloat = 0.0
    """Largest standard deviation of noise, in those of the bands; each pixel draws its own."""
    band_dropout: Share = 0.0
    """Chance of each band to be blanked in a chip, so that none is relied upon alone; one is always
    left."""
    cutmix: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Chance of a chip to have a rectangle replaced by that of another chip of its batch, labels
    and unlabelled pixels included."""

    @model_validator(mode="after")
    def _scale_rises(self) -> Self:
        if self.scale[0] > self.scale[1]:
            raise ValueError(f"scale falls from {self.scale[0]} to {self.scale[1]}: swap them")
        return self
