"""Networks of smp's decoders over any encoder, and the strides of their levels."""

from typing import Any

import segmentation_models_pytorch as smp
import torch
from segmentation_models_pytorch.base import SegmentationHead, SegmentationModel
from segmentation_models_pytorch.decoders.fpn.decoder import FPNDecoder
from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoder
from torch import Tensor, nn

from geohier.config.hierarchy import FPN_LEVELS
from geohier.config.model import ModelConfig
from geohier.models.encoders import build_encoder

PROBE_PX = 64
"""Side of the image with which an encoder's strides are measured."""

UNET_CHANNELS = (256, 128, 64, 32, 16)
"""Channels of smp's U-Net from its coarsest block to its finest."""


def build_fpn(config: ModelConfig, bands: int, classes: int) -> nn.Module:
    """Build smp's feature pyramid network."""
    encoder: Any = build_encoder(config, bands)
    decoder = FPNDecoder(
        encoder.out_channels,
        encoder_depth=config.encoder_depth,
        pyramid_channels=config.pyramid_channels,
        segmentation_channels=config.segmentation_channels,
        dropout=config.dropout,
    )
    larger = 2 ** (config.encoder_depth - FPN_LEVELS + 1)
    head = SegmentationHead(decoder.out_channels, classes, kernel_size=1, upsampling=larger)
    return Fpn(encoder, decoder, head)


def build_unet(config: ModelConfig, bands: int, classes: int) -> nn.Module:
    """Build smp's U-Net, whose decoder narrows from 256 channels to 16."""
    encoder: Any = build_encoder(config, bands)
    channels = UNET_CHANNELS[-config.encoder_depth :]
    decoder = UnetDecoder(encoder.out_channels, channels, n_blocks=config.encoder_depth)
    return Unet(encoder, decoder, SegmentationHead(channels[-1], classes))


def _assemble(
    network: SegmentationModel, encoder: nn.Module, decoder: nn.Module, head: nn.Module
) -> None:
    """Make a network out of its parts, as smp's own constructors do with an encoder's name."""
    SegmentationModel.__init__(network)
    network.encoder, network.decoder, network.segmentation_head = encoder, decoder, head
    network.classification_head = None
    network.initialize()


class Fpn(smp.FPN):  # type: ignore[misc]  # smp has no types
    """smp's feature pyramid network over a given encoder."""

    def __init__(self, encoder: nn.Module, decoder: nn.Module, head: nn.Module) -> None:
        _assemble(self, encoder, decoder, head)


class Unet(smp.Unet):  # type: ignore[misc]  # smp has no types
    """smp's U-Net over a given encoder."""

    def __init__(self, encoder: nn.Module, decoder: nn.Module, head: nn.Module) -> None:
        _assemble(self, encoder, decoder, head)


def level_strides(network: nn.Module, bands: int) -> tuple[int, ...]:
    """Measure the strides, finest first, of the levels that a network of this module merges.

    Raises:
        RuntimeError, AssertionError: the encoder accepts images of one size only.
    """
    features = _features(network, bands)
    levels = features[-FPN_LEVELS:] if isinstance(network, smp.FPN) else features[1:]
    return tuple(PROBE_PX // level.shape[-1] for level in levels if level.shape[1] > 0)


def _features(network: nn.Module, bands: int) -> list[Tensor]:
    """Return the encoder's answer to a blank image: the image itself, then each level."""
    device = next(network.parameters()).device
    image = torch.zeros(1, bands, PROBE_PX, PROBE_PX, device=device)
    training = network.training
    network.eval()
    with torch.no_grad():
        features: list[Tensor] = network.get_submodule("encoder")(image)
    network.train(training)
    return features
