"""Encoders by a pattern of their names, and what each costs."""

from dataclasses import dataclass
from fnmatch import fnmatchcase

import torch

from geohier.config.model import ModelConfig
from geohier.errors import ConfigError
from geohier.models.cost import measure_cost
from geohier.models.encoders import build_encoder, encoder_names

MOST_BUILT = 24
"""More encoders than these are named, but not built."""

BANDS = 3
SIDE_PX = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderView:
    """One encoder.

    Args:
        name: what `model.encoder` calls it.
        strides: of its levels, in pixels.
        parameters: numbers that are learnt.
        flops_per_px: floating-point operations for each pixel.
        refused: why it cannot be used, if so.
    """

    name: str
    strides: tuple[int, ...] = ()
    parameters: int | None = None
    flops_per_px: float | None = None
    refused: str = ""


def list_encoders(pattern: str) -> tuple[EncoderView, ...]:
    """Return the encoders whose names fit a pattern with * and ?; few of them are measured.

    They are built for three bands, at the default depth, and measured on 256 px.

    Raises:
        ConfigError: no encoder fits.
    """
    names = [name for name in encoder_names() if fnmatchcase(name, pattern)]
    if not names:
        raise ConfigError(
            f"--encoders {pattern}: no encoder has such a name: give a wider pattern, such as "
            "'resnet*', or see docs/backbones.md"
        )
    if len(names) > MOST_BUILT:
        return tuple(EncoderView(name=name) for name in names)
    return tuple(map(_measured, names))


def _measured(name: str) -> EncoderView:
    try:
        return _on("meta", name)  # shapes without numbers: nothing is drawn, nothing computed
    except Exception:  # some need numbers while they are built
        try:
            return _on("cpu", name)
        except Exception as error:  # each encoder refuses in its own way what it cannot do
            return EncoderView(name=name, refused=str(error).split("\n", 1)[0])


def _on(device: str, name: str) -> EncoderView:
    with torch.device(device):
        encoder = build_encoder(ModelConfig(encoder=name), BANDS)
        cost = measure_cost(encoder, BANDS, SIDE_PX)["all"]
    channels: list[int] = encoder.out_channels  # type: ignore[assignment]  # a list, as smp has it
    return EncoderView(
        name=name,
        strides=tuple(2**at for at, count in enumerate(channels) if at and count),
        parameters=cost.parameters,
        flops_per_px=cost.flops_per_px,
    )
