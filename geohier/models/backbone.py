"""Networks made of parts that others keep: the only place that builds with timm and smp.

Weights are always drawn at random here; nothing is fetched. Names are checked against the lists of
both libraries first, since some of timm's spellings (`hf-hub:...`) would reach for the network.
"""

from difflib import get_close_matches
from functools import cache

import segmentation_models_pytorch as smp
import timm
import torch
from torch import Tensor, nn

from geohier.config.schema import ModelConfig
from geohier.errors import ConfigError

FPN_LEVELS = 4
"""Levels that smp's feature pyramid merges."""

NORM_GROUPS = 32
"""smp's pyramid merges levels in channels that are a multiple of it."""

PROBE_PX = 64
"""Side of the image with which an encoder's strides are measured."""


def build_fpn(config: ModelConfig, bands: int, classes: int) -> nn.Module:
    """Build smp's feature pyramid network."""
    network: nn.Module = smp.FPN(
        encoder_name_in_smp(config.encoder),
        encoder_depth=config.encoder_depth,
        encoder_weights=None,
        decoder_pyramid_channels=config.pyramid_channels,
        decoder_segmentation_channels=config.segmentation_channels,
        decoder_dropout=config.dropout,
        in_channels=bands,
        classes=classes,
        upsampling=2 ** (config.encoder_depth - FPN_LEVELS + 1),
        **_dropped_paths(config),
    )
    return network


def build_unet(config: ModelConfig, bands: int, classes: int) -> nn.Module:
    """Build smp's U-Net, whose decoder narrows from 256 channels to 16."""
    network: nn.Module = smp.Unet(
        encoder_name_in_smp(config.encoder),
        encoder_depth=config.encoder_depth,
        encoder_weights=None,
        decoder_channels=(256, 128, 64, 32, 16)[-config.encoder_depth :],
        in_channels=bands,
        classes=classes,
        **_dropped_paths(config),
    )
    return network


def _dropped_paths(config: ModelConfig) -> dict[str, float]:
    """Return what an encoder of timm is told of paths to drop; smp's own would not listen."""
    if not config.drop_path:
        return {}
    if not encoder_name_in_smp(config.encoder).startswith("tu-"):
        raise ConfigError("it is smp's own and drops no paths: set model.drop_path to 0")
    return {"drop_path_rate": config.drop_path}


def encoder_name_in_smp(name: str) -> str:
    """Return the name by which smp builds an encoder of timm, or one of its own.

    Raises:
        ConfigError: neither library knows the name.

    Example:
        >>> encoder_name_in_smp("resnet18"), encoder_name_in_smp("mit_b0")
        ('tu-resnet18', 'mit_b0')
    """
    plain = name.removeprefix("tu-")
    if plain in _timm_names():
        return f"tu-{plain}"
    if name in _smp_names():
        return name
    near = get_close_matches(plain, [*_timm_names(), *_smp_names()], n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise ConfigError(f"model.encoder: neither timm nor smp has an encoder named {name!r}{hint}")


@cache
def _timm_names() -> tuple[str, ...]:
    return tuple(timm.list_models())


@cache
def _smp_names() -> tuple[str, ...]:
    return tuple(smp.encoders.get_encoder_names())


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
