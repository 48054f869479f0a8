"""Models that are measured with: a stub that costs next to nothing, and real networks."""

from collections.abc import Mapping
from typing import Literal

import torch
from scenes import BANDS
from torch import nn

from geohier.config.model import ModelConfig
from geohier.geo.bands import Band, BandSet
from geohier.models.card import ClassLabel, ModelCard
from geohier.models.segmentation import build_segmenter, level_ladder

TYPICAL_MARGINS_PX = {90: 40, 95: 56, 99: 110}
"""Radii that hold so many per cent of the effective receptive field of an FPN of resnet18."""


def stub(classes: int = 5) -> tuple[nn.Module, ModelCard]:
    """Return a 1 x 1 convolution and its card: all the rest of the time is the pipeline's own."""
    torch.manual_seed(0)
    return nn.Conv2d(len(BANDS), classes, 1), _card(classes)


def fpn(
    encoder: str, classes: int = 5, *, decoder: Literal["fpn", "hierarchy"] = "fpn"
) -> tuple[nn.Module, ModelCard]:
    """Return a pyramid with random weights, laid out as a loaded one is, and its card."""
    torch.manual_seed(0)
    config = ModelConfig(encoder=encoder, decoder=decoder)
    network = build_segmenter(config, len(BANDS), classes).eval()
    stride = level_ladder(network, len(BANDS)).coarsest
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network, _card(classes, stride, TYPICAL_MARGINS_PX)


def _card(classes: int, stride: int = 1, margins_px: Mapping[int, int] | None = None) -> ModelCard:
    return ModelCard(
        bands=BandSet(tuple(Band(name=one, dtype="uint8", mean=127, std=50) for one in BANDS)),
        classes=tuple(ClassLabel(name=f"class {k}", color="#808080") for k in range(classes)),
        stride=stride,
        margins_px=margins_px or {},
    )
