"""How likely pixels are the middle of an object: what a model that finds objects writes first."""

from dataclasses import dataclass

import torch
from torch import Tensor

from geohier.models.card import ModelCard
from geohier.raster.layers import MIDDLES, NODATA, STEPS


def objects_of(card: ModelCard) -> tuple[int, ...]:
    """Return the indexes of the classes that are objects."""
    assert card.points is not None
    return tuple(at for at in range(len(card.classes)) if at != card.points.ground)


@dataclass(frozen=True, slots=True, kw_only=True)
class MiddlesReduction:
    """From scores to the probability of each class of objects.

    Args:
        objects: indexes of these classes.
    """

    objects: tuple[int, ...]

    @property
    def layers(self) -> tuple[str, ...]:
        """The one layer."""
        return (MIDDLES,)

    def channels(self, layer: str) -> int:
        """Bands of the layer."""
        return len(self.objects)

    def dtype(self, layer: str) -> torch.dtype:
        """Type that holds the layer while it is assembled."""
        return torch.uint8

    def nodata(self, layer: str) -> int:
        """Value that stands for nodata."""
        return NODATA["uint8"]

    def blendable(self, scores: Tensor, /) -> Tensor:
        """Return probabilities, of which means are taken between tiles."""
        return scores.softmax(0)[list(self.objects)]

    def of_scores(self, scores: Tensor, /) -> dict[str, Tensor]:
        """Reduce the scores `(K, H, W)` of pixels that only one tile decides."""
        return self.of_blended(self.blendable(scores))

    def of_blended(self, blended: Tensor, /) -> dict[str, Tensor]:
        """Reduce probabilities of objects to bytes."""
        return {MIDDLES: (blended.clamp(0, 1) * STEPS).round().to(torch.uint8)}
