"""Losses of networks that find objects: middles as spots of probability."""

import torch
from torch import Tensor
from torch.nn import functional

from geohier.config.detection import DetectionConfig
from geohier.data.labels import IGNORE_INDEX

REACH = 3
"""Deviations beyond which a spot is 0."""

NEAR_POWER = 4
"""How fast the penalty of a pixel falls near a middle (beta in CenterNet)."""
FOCUS = 2
"""How fast the weight of a pixel falls that is right already (alpha in CenterNet)."""


class SpotLoss:
    """The loss of a config, in the form of other losses.

    Args:
        config: which one.
        ground: index of the class that is no object.
    """

    def __init__(self, config: DetectionConfig, ground: int) -> None:
        self.config = config
        self.ground = ground
        self.weights: dict[str, float] = {config.loss: 1.0}

    def terms(self, logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Return the loss of a batch, computed in float32 whatever the logits are.

        Shape:
            - logits: `(B, K, H, W)`
            - labels: `(B, H, W)`: at each object's middle its class, elsewhere that of the ground,
              IGNORE_INDEX where unlabelled
        """
        found = logits.float().log_softmax(1)
        known = labels != IGNORE_INDEX
        spots = spots_of(labels, logits.shape[1], self.ground, self.config.spread_px)
        if self.config.loss == "focal":
            return {"focal": focal_spots(found, spots, known, self.ground)}
        return {"cross_entropy": soft_spots(found, spots, known, self.ground, self.config.weight)}


def spots_of(labels: Tensor, classes: int, ground: int, spread_px: float) -> Tensor:
    """Return how near each pixel is to a middle of each class: 1 there, falling as a normal curve.

    Of overlapping spots the higher one counts. The ground has none: there all is 0.

    Shape:
        - labels: `(B, H, W)`
        - returns: `(B, K, H, W)` float32
    """
    middles = functional.one_hot(labels.clamp(max=classes), classes + 1)[..., :classes]
    spots = middles.movedim(-1, 1).float()
    spots[:, ground] = 0
    reach = int(REACH * spread_px)
    falling = torch.exp(-(torch.arange(-reach, reach + 1.0) ** 2) / (2 * spread_px**2))
    for dim in (-1, -2):
        spots = _spread_along(spots, falling.tolist(), dim)
    return spots


def _spread_along(spots: Tensor, falling: list[float], dim: int) -> Tensor:
    reach, size = len(falling) // 2, spots.shape[dim]
    sides = (reach, reach) if dim == -1 else (0, 0, reach, reach)
    wide = functional.pad(spots, sides)
    spread = torch.zeros_like(spots)
    for at, height in enumerate(falling):
        torch.maximum(spread, wide.narrow(dim, at, size) * height, out=spread)
    return spread


def focal_spots(found: Tensor, spots: Tensor, known: Tensor, ground: int) -> Tensor:
    """Return the penalty-reduced focal loss, by the number of middles.

    Law and Deng 2018, CornerNet: Detecting Objects as Paired Keypoints, ECCV, as Zhou et al. 2019,
    Objects as Points (arXiv 1904.07850) use it.

    Args:
        found: logarithms of probabilities `(B, K, H, W)`.
        spots: as of `spots_of`.
        known: labelled pixels `(B, H, W)`.
        ground: index of the class that is no object.
    """
    log_p = torch.cat([found[:, :ground], found[:, ground + 1 :]], dim=1)
    near = torch.cat([spots[:, :ground], spots[:, ground + 1 :]], dim=1)
    p = log_p.exp()
    middle = near >= 1 - 1e-6
    log_not = torch.log1p(-p.clamp(max=1 - 1e-6))
    hit = (1 - p) ** FOCUS * log_p
    missed = (1 - near) ** NEAR_POWER * p**FOCUS * log_not
    losses = torch.where(middle, hit, missed) * known[:, None]
    count = (middle & known[:, None]).sum().clamp(min=1)
    return -losses.sum() / count


def soft_spots(found: Tensor, spots: Tensor, known: Tensor, ground: int, weight: float) -> Tensor:
    """Return the mean cross-entropy of spots as probabilities; pixels of spots weigh more.

    Args:
        found: logarithms of probabilities `(B, K, H, W)`.
        spots: as of `spots_of`.
        known: labelled pixels `(B, H, W)`.
        ground: index of the class that is no object.
        weight: how much more than 1 the midst of a spot weighs.
    """
    highest = spots.sum(1).clamp(max=1)
    expected = spots / spots.sum(1, keepdim=True).clamp(min=1)
    expected[:, ground] = 1 - highest
    weighted = (1 + weight * highest) * known
    return -(weighted[:, None] * expected * found).sum() / weighted.sum().clamp(min=1e-6)
