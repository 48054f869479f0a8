"""Random changes to chips, as torchvision transforms of an image and its masks.

They act on normalised images (mean 0, standard deviation 1 per band), so they fit any bands and
units. All draw from torch's generator, which `ChipDataset` seeds for each sample. Scale is changed
where chips are cut: from the scene's own pixels, averaged where objects shrink.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torchvision import tv_tensors
from torchvision.transforms import v2

from geohier.config.chips import AugmentConfig


class QuarterTurn(v2.Transform):  # type: ignore[misc]  # torchvision is untyped
    """Turns by 0, 90, 180 or 270 degrees, exactly: no pixel is interpolated."""

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        return {"turns": int(torch.randint(4, ()))}

    def transform(self, inpt: Tensor, params: dict[str, Any]) -> Tensor:
        turned = torch.rot90(inpt, params["turns"], dims=(-2, -1))
        wrapped: Tensor = tv_tensors.wrap(turned, like=inpt)
        return wrapped


class ToneJitter(v2.Transform):  # type: ignore[misc]  # torchvision is untyped
    """Changes contrast, brightness and tone curve of a normalised image; masks pass through.

    `x' = gain * x + offset`, then `x' + gamma * (x'^2 - 4) / 4` with `x'` held to [-2, 2]: a curve
    that bends like a gamma and never falls.

    Args:
        config: largest changes; see there for the units.
    """

    _transformed_types = (tv_tensors.Image,)

    def __init__(self, config: AugmentConfig) -> None:
        super().__init__()
        self.config = config

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        image = next(one for one in flat_inputs if isinstance(one, tv_tensors.Image))
        bands, config = image.shape[-3], self.config
        gain = (1 + config.gain * _spread(1)) * (1 + config.band_gain * _spread(bands))
        offset = config.offset * _spread(1) + config.band_offset * _spread(bands)
        return {"gain": gain, "offset": offset, "bend": config.gamma * float(_spread(1))}

    def transform(self, inpt: Tensor, params: dict[str, Any]) -> Tensor:
        image = inpt.as_subclass(Tensor)
        image = torch.addcmul(params["offset"][:, None, None], image, params["gain"][:, None, None])
        if params["bend"]:
            held = image.clamp(-2, 2)
            image = image.add_(held.square_().sub_(4), alpha=params["bend"] / 4)
        wrapped: Tensor = tv_tensors.wrap(image, like=inpt)
        return wrapped


class Haze(v2.Transform):  # type: ignore[misc]  # torchvision is untyped
    """Veils an image by soft patches: `x' = (1 - t) x + t BRIGHT` with t from 0 to what is drawn.

    Args:
        largest: largest share of the image that the veil covers up.
    """

    BRIGHT = 2.0
    """Brightness of the veil, in standard deviations."""
    PATCHES = 4
    """Patches along a side."""

    _transformed_types = (tv_tensors.Image,)

    def __init__(self, largest: float) -> None:
        super().__init__()
        self.largest = largest

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        patches = torch.rand(1, 1, self.PATCHES, self.PATCHES)
        return {"patches": self.largest * torch.rand(()) * patches}

    def transform(self, inpt: Tensor, params: dict[str, Any]) -> Tensor:
        image = inpt.as_subclass(Tensor)
        veil = functional.interpolate(params["patches"], size=image.shape[-2:], mode="bicubic")
        veiled = image.lerp(image.new_tensor(self.BRIGHT), veil[0].clamp(0, self.largest))
        wrapped: Tensor = tv_tensors.wrap(veiled, like=inpt)
        return wrapped


class Noise(v2.Transform):  # type: ignore[misc]  # torchvision is untyped
    """Adds noise to each pixel and band of an image.

    Args:
        largest: largest standard deviation; an image draws its own.
    """

    _transformed_types = (tv_tensors.Image,)

    def __init__(self, largest: float) -> None:
        super().__init__()
        self.largest = largest

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        return {"std": self.largest * float(torch.rand(()))}

    def transform(self, inpt: Tensor, params: dict[str, Any]) -> Tensor:
        image = inpt.as_subclass(Tensor)
        noisy = image.add(torch.randn_like(image), alpha=params["std"])
        wrapped: Tensor = tv_tensors.wrap(noisy, like=inpt)
        return wrapped


class BandDropout(v2.Transform):  # type: ignore[misc]  # torchvision is untyped
    """Blanks bands of an image with their mean, but never all of them.

    Args:
        chance: chance of each band.
    """

    _transformed_types = (tv_tensors.Image,)

    def __init__(self, chance: float) -> None:
        super().__init__()
        self.chance = chance

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        image = next(one for one in flat_inputs if isinstance(one, tv_tensors.Image))
        kept = torch.rand(image.shape[-3]) >= self.chance
        kept[torch.randint(len(kept), ())] = True
        return {"kept": kept}

    def transform(self, inpt: Tensor, params: dict[str, Any]) -> Tensor:
        shown = inpt.as_subclass(Tensor) * params["kept"][:, None, None]
        wrapped: Tensor = tv_tensors.wrap(shown, like=inpt)
        return wrapped


def augmentation(config: AugmentConfig) -> v2.Compose:
    """Return the transforms that a config asks for; the scale jitter happens when chips are cut."""
    steps: list[v2.Transform] = [ToneJitter(config)]
    if config.haze:
        steps.append(Haze(config.haze))
    if config.noise:
        steps.append(Noise(config.noise))
    if config.band_dropout:
        steps.append(BandDropout(config.band_dropout))
    if config.flips:
        steps += [v2.RandomHorizontalFlip(), v2.RandomVerticalFlip()]
    if config.rotations:
        steps.append(QuarterTurn())
    return v2.Compose(steps)


def _spread(count: int) -> Tensor:
    """Draw numbers evenly from -1 to 1."""
    return torch.rand(count) * 2 - 1
