"""Which device and number format a model runs in."""

from typing import Literal

import torch

from geohier.efficiency.processor import bf16_features
from geohier.errors import ConfigError, ResourceError

type Precision = Literal["auto", "bf16", "fp32"]


def choose_device(name: str = "auto") -> torch.device:
    """Return the device behind a name: `auto`, `cpu`, `cuda`, `cuda:1`, `mps`.

    Raises:
        ConfigError: no device has that name.
        ResourceError: the device is not on this machine.
    """
    if name == "auto":
        return torch.device(_best_device())
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"device {name!r} is not known: choose auto, cuda, mps or cpu") from error
    if device.type not in {"cpu", "cuda", "mps"}:
        raise ConfigError(f"device {name!r} is not known: choose auto, cuda, mps or cpu")
    here = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(_has_mps())}[device.type]
    if (device.index or 0) >= here:
        raise ResourceError(f"device {name} was asked for, but PyTorch sees none: use --device cpu")
    return device


def choose_precision(wanted: Precision, device: torch.device) -> Literal["bf16", "fp32"]:
    """Return the number format; `auto` is bf16 where the processor computes in it."""
    if wanted not in {"auto", "bf16", "fp32"}:
        raise ConfigError(f"precision {wanted!r} is not known: choose auto, bf16 or fp32")
    if wanted != "auto":
        return wanted
    return "bf16" if _computes_bf16(device) else "fp32"


def _best_device() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if _has_mps() else "cpu"


def _has_mps() -> bool:
    return bool(torch.backends.mps.is_available())


def _computes_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        return bool(bf16_features())
    return False
