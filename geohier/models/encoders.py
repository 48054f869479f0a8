"""Encoders: from an image to features that halve in size, whoever keeps the network.

All have the contract of smp's encoders: `encoder(image)` is the image and then one feature per
halving of it, with 0 channels where a network has none of that stride; `out_channels` has the
channels of them all, `output_stride` the coarsest stride. `docs/backbones.md` lists what there is.

Weights are always drawn at random here; nothing is fetched. Names are checked against the lists of
the libraries first, since some of timm's spellings (`hf-hub:...`) would reach for the network.
"""

from difflib import get_close_matches
from functools import cache
from typing import Literal

import segmentation_models_pytorch as smp
import timm
import torch
from torch import nn

from geohier.config.model import ModelConfig
from geohier.errors import ConfigError
from geohier.models.vit_encoders import PLAIN, TimmViT

type Library = Literal["timm", "smp", "torchgeo"]

TORCHGEO = "torchgeo/"
"""What stands before the names of torchgeo's encoders."""

OF_TORCHGEO = (
    "swin_t", "swin_s", "swin_b", "swin_v2_t", "swin_v2_b",
    "scalemae_small_patch16", "scalemae_base_patch16", "scalemae_large_patch16",
    "dofa_small_patch16_224", "dofa_base_patch16_224", "dofa_large_patch16_224",
)  # fmt: skip
"""Those that timm has not."""

OF_TORCHGEO_IN_TIMM = (
    "resnet18", "resnet50", "resnet152",
    "vit_small_patch16_224", "vit_base_patch16_224", "vit_large_patch16_224",
)  # fmt: skip
"""Those that torchgeo builds with timm, by the same names."""

WINDOWED = ("swin_transformer", "swin_transformer_v2", "swin_transformer_v2_cr")
"""Files of timm whose networks take images of any size if they are told to."""

PROBE_SHAPE = (64, 96)
"""Sides of the blank image that shows whether an encoder takes images of any size."""

NO_LEVELS = (
    "its levels are not each half as fine as the one before, from 2 or 4 px on: see "
    "docs/backbones.md for encoders whose levels are"
)


def build_encoder(config: ModelConfig, bands: int, depth: int | None = None) -> nn.Module:
    """Build the encoder of a config, with random weights.

    What an encoder must know of its sensor, `sensor.tell_sensor` tells it; until then it answers
    NaN.

    Args:
        config: name of the encoder, chance of its paths to be dropped.
        bands: bands of the image.
        depth: halvings of the image; those of the config where None.

    Shape:
        - image: `(B, bands, H, W)`, normalised, sides divisible by `2 ** depth`
        - returns: `(B, C_k, H / 2^k, W / 2^k)` for each `k` from 0 to `depth`

    Raises:
        ConfigError: the encoder is unknown, drops no paths, or does not take images of any size.
    """
    depth = config.encoder_depth if depth is None else depth
    encoder = _build(config, bands, depth)
    _check_sizes(encoder, bands, depth)
    return encoder


def _build(config: ModelConfig, bands: int, depth: int) -> nn.Module:
    library, name = _find(config.encoder)
    match library:
        case "smp":
            return _of_smp(name, bands, depth, config.drop_path)
        case "timm":
            return _of_timm(name, bands, depth, config.drop_path)
        case "torchgeo":
            from geohier.models import torchgeo_encoders  # seconds

            return torchgeo_encoders.build(name, bands, depth, config.drop_path)


@torch.no_grad()
def _check_sizes(encoder: nn.Module, bands: int, depth: int) -> None:
    """Check that an encoder halves an image of whatever size, by one that is not square."""
    height, width = PROBE_SHAPE
    encoder.eval()
    try:
        found = [tuple(one.shape[2:]) for one in encoder(torch.zeros(1, bands, height, width))]
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(
            "it does not take images of any size: see docs/backbones.md for those that do"
        ) from error
    finally:
        encoder.train()
    if found != [(height >> at, width >> at) for at in range(depth + 1)]:
        raise ConfigError(NO_LEVELS)


def check_encoder(name: str) -> None:
    """Check that there is an encoder of this name.

    Raises:
        ConfigError: no library knows it.
    """
    _find(name)


def encoder_names() -> tuple[str, ...]:
    """Return the names that `model.encoder` takes, each network once."""
    return tuple(
        sorted({*_timm_names(), *_smp_names(), *(f"{TORCHGEO}{one}" for one in OF_TORCHGEO)})
    )


def _find(name: str) -> tuple[Library, str]:
    """Return which library builds an encoder, and the name that it has there."""
    if name.startswith(TORCHGEO):
        return _find_in_torchgeo(name)
    plain = name.removeprefix("tu-")
    if plain in _timm_names():
        return "timm", plain
    if name in _smp_names():
        return "smp", name
    near = get_close_matches(plain, [*_timm_names(), *_smp_names()], n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise ConfigError(f"model.encoder: neither timm nor smp has an encoder named {name!r}{hint}")


def _find_in_torchgeo(name: str) -> tuple[Library, str]:
    plain = name.removeprefix(TORCHGEO)
    if plain in OF_TORCHGEO_IN_TIMM:
        return "timm", plain
    if plain in OF_TORCHGEO:
        return "torchgeo", plain
    known = [*OF_TORCHGEO, *OF_TORCHGEO_IN_TIMM]
    near = get_close_matches(plain, known, n=1, cutoff=0.5)
    hint = f"did you mean {TORCHGEO}{near[0]}?" if near else "see docs/backbones.md"
    raise ConfigError(f"model.encoder: there is no {name!r}; {hint}")


@cache
def _timm_names() -> tuple[str, ...]:
    return tuple(timm.list_models())


@cache
def _smp_names() -> tuple[str, ...]:
    return tuple(smp.encoders.get_encoder_names())


def _of_smp(name: str, bands: int, depth: int, drop_path: float) -> nn.Module:
    """Build one of smp's own encoders, which would not listen if they were told of paths."""
    if drop_path:
        raise ConfigError("it is smp's own and drops no paths: set model.drop_path to 0")
    encoder: nn.Module = smp.encoders.get_encoder(name, bands, depth, weights=None)
    return encoder


def _of_timm(name: str, bands: int, depth: int, drop_path: float) -> nn.Module:
    if _file_in_timm(name) in PLAIN:
        return TimmViT(name, bands, depth, drop_path)
    options: dict[str, float | bool] = {"drop_path_rate": drop_path} if drop_path else {}
    if _file_in_timm(name) in WINDOWED:
        options["strict_img_size"] = False
    try:
        encoder: nn.Module = smp.encoders.get_encoder(
            f"tu-{name}", bands, depth, weights=None, **options
        )
    except ValueError as error:  # how smp says it
        raise ConfigError(NO_LEVELS) from error
    return encoder


def _file_in_timm(name: str) -> str:
    """Return the file in which timm defines a network."""
    module: str = timm.model_entrypoint(name).__module__
    return module.rpartition(".")[2]
