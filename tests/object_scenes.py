"""Scenes whose pixels say where objects are, and a model that reads just that."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from geohier.geo.bands import Band, BandSet
from geohier.models.card import ClassLabel, ModelCard, PointRule

LOUDEST = 200
"""Value of a pixel in the midst of an object, of 250 for certainty."""


class Told(nn.Module):
    """Answers with what the first bands say: 0 to 250 for no object of a class to one for sure."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        shares = (image / 250).clamp(1e-4, 0.999)
        ground = (1 - shares.sum(1, keepdim=True)).clamp(min=1e-4)
        return torch.cat([ground, shares], dim=1).log()


def told_card(*names: str, threshold: float = 0.4, apart_px: float = 3) -> ModelCard:
    """Return the card of a model that finds objects of these classes."""
    bands = [Band(name=f"b{at}", dtype="uint8", mean=0, std=1) for at in range(len(names))]
    return ModelCard(
        bands=BandSet(tuple(bands)),
        classes=tuple(ClassLabel(name=one, color=None) for one in ("ground", *names)),
        points=PointRule(
            ground=0,
            thresholds=dict.fromkeys(names, threshold),
            apart_px=apart_px,
            smooth_px=1,
            match_m=5,
        ),
        margins_px={90: 0, 95: 0, 99: 0},
    )


def told(places: Sequence[tuple[float, float]], height: int, width: int) -> np.ndarray:
    """Return one band `(H, W)` that tells of objects with their middles at rows and columns."""
    rows, columns = np.indices((height, width)) + 0.5
    spots = [np.exp(-((rows - r) ** 2 + (columns - c) ** 2) / 8) for r, c in places]
    return np.rint(LOUDEST * np.max([np.zeros((height, width)), *spots], axis=0)).astype(np.uint8)
