"""What a network learns from images alone, before it sees labels."""

from typing import Annotated, Self

from pydantic import Field, NonNegativeFloat, PositiveInt, model_validator

from geohier.config.section import Section, Share

type OpenShare = Annotated[float, Field(gt=0, lt=1)]
type Ratio = Annotated[float, Field(ge=0.25, le=4)]


class PretrainingConfig(Section):
    """How `geohier pretrain` learns from images without labels; `geohier train` ignores it."""

    reconstruction: NonNegativeFloat = 1.0
    """Weight of rebuilding what was masked, on every level of the pyramid; 0 turns it off, and
    nothing is masked."""
    contrast: NonNegativeFloat = 0.0
    """Weight of telling alike two views of the same ground, of different GSD and, where scenes of
    the same ground are there, of another date; 0 turns it off."""
    mask_share: OpenShare = 0.6
    """Share of the blocks of a chip that are masked."""
    mask_px: PositiveInt = 32
    """Side of a masked block, in the network's pixels; a chip must hold four of them."""
    band_mask: Share = 0.1
    """Chance of each band to be masked in the whole chip; one is always left."""
    gsd_range: tuple[Ratio, Ratio] = (1.0, 2.0)
    """Smallest and largest GSD of the second view, in that of the first one; both are resampled
    from the scene's own pixels."""
    momentum: Share = 0.99
    """Share of the slowly following network, whose view of the ground is to be foretold, that a
    step keeps."""

    @model_validator(mode="after")
    def _something_is_learnt(self) -> Self:
        if not self.reconstruction and not self.contrast:
            raise ValueError(
                "reconstruction and contrast are both 0, so nothing is learnt: give one a weight"
            )
        return self

    @model_validator(mode="after")
    def _gsd_rises(self) -> Self:
        low, high = self.gsd_range
        if low > high:
            raise ValueError(f"gsd_range falls from {low:g} to {high:g}: swap them")
        return self
