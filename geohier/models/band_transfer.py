"""The first layer of a network for other bands than it was made for.

Where it is known how the bands were normalised, the layer is rescaled, so that it answers to this
network's bands as it did to those.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from geohier.errors import ModelError
from geohier.geo.bands import BandSet, canonical
from geohier.models.weight_files import SourceBands, Weights

TWINS = {"nir08": "nir", "nir": "nir08"}
"""Near infrared, broad or narrow: which of them a sensor has is no reason to start anew."""

DARKEST, BRIGHTEST = 0.03, 4
"""In the same units the bright pixels of a band reach so many deviations of the weights' data at
least, counted from 0, and at most, counted from their mean."""

COLOURS = ("red", "green", "blue")
"""What three bands are where nobody says so."""


def bands_read_by(weights: Weights, count: int) -> SourceBands:
    """Return the bands of weights whose first convolution reads so many.

    Raises:
        ModelError: nobody says which they are.
    """
    if weights.bands is None and count == len(COLOURS):
        return SourceBands(names=COLOURS)
    if weights.bands is None:
        raise ModelError(
            f"weights {weights.origin}: read {count} bands, and nobody says which: name them, in "
            "their order, in weights.bands"
        )
    if len(weights.bands.names) != count:
        raise ModelError(
            f"weights {weights.origin}: read {count} bands, but {len(weights.bands.names)} are "
            f"named ({' '.join(weights.bands.names)}): name each once in weights.bands"
        )
    return weights.bands


@dataclass(frozen=True, slots=True, kw_only=True)
class BandChange:
    """How what one network reads follows from what another one reads.

    Band `k` here is band `places[k]` there, None where it is a new one; what stands there is
    `gain[k] * here + shift[k]`.
    """

    places: tuple[int | None, ...]
    gain: tuple[float, ...]
    shift: tuple[float, ...]
    notes: tuple[str, ...]

    @classmethod
    def between(
        cls, there: SourceBands, here: BandSet | None, names: Sequence[str]
    ) -> "BandChange":
        """Return the change.

        Args:
            there: what the weights read.
            here: what this network reads, None where a scene's own statistics normalise it.
            names: names of the bands here, of computed ones with their formula.
        """
        places = tuple(_place(name, there.names, names) for name in names)
        gain, shift, notes = [1.0] * len(places), [0.0] * len(places), []
        if here is not None and there.mean is not None and there.std is not None:
            if _same_units(here, places, there.mean, there.std):
                for at, (place, band) in enumerate(zip(places, here, strict=True)):
                    if place is not None:
                        gain[at] = band.std / there.std[place]
                        shift[at] = (band.mean - there.mean[place]) / there.std[place]
            else:
                notes.append("its bands were in other units: its first layer is not rescaled")
        new = [name for name, place in zip(names, places, strict=True) if place is None]
        if new:
            notes.append(f"bands new to it start as the mean of its own: {' '.join(new)}")
        return cls(places=places, gain=tuple(gain), shift=tuple(shift), notes=tuple(notes))


def _same_units(
    here: BandSet, places: Sequence[int | None], mean: Sequence[float], std: Sequence[float]
) -> bool:
    """Return whether the bands could be in the units of the weights' statistics.

    Reflectance times 10000 seen as bytes, or the other way round, is off by a factor of forty. One
    band may be dark or bright on its own: the median of the bands counts.
    """
    found = [
        (abs(band.high) / std[place], (band.high - mean[place]) / std[place])
        for band, place in zip(here, places, strict=True)
        if place is not None and band.high is not None
    ]
    if not found:
        return True
    from_zero, from_mean = np.median(found, axis=0)
    return bool(from_zero >= DARKEST and from_mean <= BRIGHTEST)


def _place(name: str, there: Sequence[str], here: Sequence[str]) -> int | None:
    """Return the place of a band of this name; bands of different formulas are not the same.

    Another infrared stands in for one that is not there, but not for a band that is here itself.
    """
    own, _, formula = name.partition(" = ")
    twin = TWINS.get(canonical(own))
    taken = {canonical(one) for one in here}
    for wanted in (canonical(own), None if twin in taken else twin):
        for at, one in enumerate(there):
            other, _, another = one.partition(" = ")
            if canonical(other) == wanted and (formula == another or not formula or not another):
                return at
    return None


def first_layers(
    network: nn.Module, first: str, found: Mapping[str, Tensor], change: BandChange
) -> dict[str, Tensor]:
    """Return the first convolution for this network's bands, and what its shift moves after it.

    A new band starts as the mean of those that were found, or of all where none was.
    """
    weight = found[first]
    known = [place for place in change.places if place is not None]
    gains = dict(zip(change.places, change.gain, strict=True))
    usual = weight.mean(dim=1) * weight.shape[1] / len(change.places)
    if known:
        usual = torch.stack([weight[:, at] * gains[at] for at in known]).mean(dim=0)
    parts = [
        usual if place is None else weight[:, place] * gain
        for place, gain in zip(change.places, change.gain, strict=True)
    ]
    shifted = sum(
        weight[:, place].sum(dim=(1, 2)) * shift
        for place, shift in zip(change.places, change.shift, strict=True)
        if place is not None
    )
    return {first: torch.stack(parts, dim=1), **_moved(network, first, found, shifted)}


def _moved(
    network: nn.Module, first: str, found: Mapping[str, Tensor], shifted: Tensor | int
) -> dict[str, Tensor]:
    """Return what takes up a constant added to the first convolution's answer.

    That is its own bias, or the mean that the normalisation after it subtracts.
    """
    bias = first.removesuffix("weight") + "bias"
    if bias in found:
        return {bias: found[bias] + shifted}
    names = [name for name, module in network.named_modules() if isinstance(module, nn.BatchNorm2d)]
    mean = f"{names[0]}.running_mean" if names else ""
    if mean in found and found[mean].shape == (found[first].shape[0],):
        return {mean: found[mean] - shifted}
    return {}
