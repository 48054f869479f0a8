"""From blended features to the bytes that are written."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from geohier.raster.layers import FEATURES, NODATA, STEPS, Encoding


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureReduction:
    """How features are stored: in even steps between two ends, band by band; beyond them cut off.

    Args:
        features: how many there are: bands.
        encodings: scale and offset of each band; None as long as they are not measured.
    """

    features: int
    encodings: Sequence[Encoding] | None = None

    @property
    def layers(self) -> tuple[str, ...]:
        """The one layer."""
        return (FEATURES,)

    def channels(self, layer: str) -> int:
        """Bands of the layer."""
        return self.features

    def dtype(self, layer: str) -> torch.dtype:
        """Type that holds the layer while it is assembled."""
        return torch.uint8

    def nodata(self, layer: str) -> int:
        """Value that stands for nodata."""
        return NODATA["uint8"]

    def blendable(self, scores: Tensor, /) -> Tensor:
        """Return the features as they are: they are blended linearly."""
        return scores

    def of_scores(self, scores: Tensor, /) -> dict[str, Tensor]:
        """Reduce features `(C, H, W)` to bytes."""
        return self.of_blended(scores)

    def of_blended(self, blended: Tensor, /) -> dict[str, Tensor]:
        """Reduce features `(C, H, W)` to bytes."""
        assert self.encodings is not None, "features are measured before they are written"
        numbers = torch.tensor(self.encodings, dtype=torch.float32, device=blended.device)
        scale, offset = numbers.T[:, :, None, None]
        steps = blended.sub(offset).div_(scale).round_().clamp_(0, STEPS)
        return {FEATURES: steps.to(torch.uint8)}
