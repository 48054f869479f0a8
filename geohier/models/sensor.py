"""What an encoder must know of the sensor that it looks through: wavelengths, size of a pixel."""

from math import sqrt

import torch
from torch import Tensor, nn

from geohier.config.model import ModelConfig
from geohier.errors import ConfigError
from geohier.geo.bands import BandSet
from geohier.geo.wavelengths import central_wavelengths_um

RADAR_UM = {"vv": 3.75, "vh": 3.75}
"""What stands for Sentinel-1 in DOFA's published weights; the true wavelength is 55,000 um."""


def tell_sensor(
    network: nn.Module, config: ModelConfig, bands: BandSet, gsd_m: tuple[float, float] | None
) -> None:
    """Tell an encoder that asks for it what it will look at; it is kept with the weights.

    Args:
        network: a network of `build_segmenter`.
        config: its config.
        bands: the bands that it reads.
        gsd_m: smallest and largest ground sample distance that it sees, in metres.

    Raises:
        ConfigError: the wavelength of a band, or the ground sample distance, is not known.
    """
    asked = dict(network.get_submodule("encoder").named_buffers(recurse=False))
    if "wavelengths_um" in asked:
        _fill(asked["wavelengths_um"], _wavelengths_um(config, bands))
    if "gsd_m" in asked:
        _fill(asked["gsd_m"], [_middle(config, gsd_m)])


def lacks_sensor(network: nn.Module) -> bool:
    """Return whether an encoder asks for what it was not told yet: it answers nothing so far."""
    buffers = network.get_submodule("encoder").buffers(recurse=False)
    return any(bool(one.isnan().any()) for one in buffers)


def _fill(buffer: Tensor, values: list[float]) -> None:
    buffer.copy_(torch.tensor(values))


def _wavelengths_um(config: ModelConfig, bands: BandSet) -> list[float]:
    if config.wavelengths_um is not None:
        if len(config.wavelengths_um) != len(bands):
            raise ConfigError(
                f"model.wavelengths_um: {len(config.wavelengths_um)} wavelengths for {len(bands)} "
                f"bands ({' '.join(bands.names)}): give one for each, in their order"
            )
        return list(config.wavelengths_um)
    found = [
        RADAR_UM.get(name.lower(), wavelength)
        for name, wavelength in zip(bands.names, central_wavelengths_um(bands.names), strict=True)
    ]
    unknown = [name for name, one in zip(bands.names, found, strict=True) if one is None]
    if unknown:
        raise ConfigError(
            f"model.encoder: {config.encoder} reads bands by their wavelengths, and the names "
            f"{' '.join(unknown)} tell none: give those of all bands in model.wavelengths_um, or "
            "take another encoder"
        )
    return [one for one in found if one is not None]


def _middle(config: ModelConfig, gsd_m: tuple[float, float] | None) -> float:
    """Return the geometric mean of the smallest and the largest."""
    if gsd_m is None:
        raise ConfigError(
            f"model.encoder: {config.encoder} must know how large a pixel is on the ground, and "
            "the scenes have no georeference: take another encoder"
        )
    return sqrt(gsd_m[0] * gsd_m[1])
