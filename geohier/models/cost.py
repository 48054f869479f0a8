"""What a network costs: its weights, and the arithmetic that each pixel of an image takes."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from geohier.models.dated import image_channels


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a network, or a part of one, costs.

    Args:
        parameters: numbers that are learnt.
        flops_per_px: floating-point operations for each pixel of the image, in prediction.
    """

    parameters: int
    flops_per_px: float


def measure_cost(
    network: nn.Module, bands: int, side_px: int, parts: Mapping[str, tuple[str, ...]] | None = None
) -> dict[str, Cost]:
    """Return the cost of a network, under "all", and of parts of it.

    Counted are convolutions, products of matrices and attention, of which a multiplication and an
    addition are two operations; what enlarges, pools, normalises or activates is not. Attention
    over a whole tile takes more for each pixel of a larger tile. Of a network of dates it is what
    one date costs.

    Args:
        network: gives scores for images whose sides are multiples of its coarsest stride.
        bands: bands of the image.
        side_px: side of the image that it is counted on.
        parts: names of submodules, by what they are together called.

    Example:
        >>> found = measure_cost(nn.Conv2d(3, 8, 1), bands=3, side_px=32)["all"]
        >>> found.parameters, found.flops_per_px  # 3 x 8 weights and 8 biases
        (32, 48.0)
    """
    parameter = next(network.parameters(), torch.empty(0))
    channels = image_channels(network, bands)
    image = torch.zeros(1, channels, side_px, side_px, device=parameter.device)
    training = network.training
    network.eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(image)
    network.train(training)
    counts = {name: sum(kinds.values()) for name, kinds in counter.get_flop_counts().items()}
    own = type(network).__name__

    def cost(names: tuple[str, ...]) -> Cost:
        flops = sum(_flops_under(f"{own}.{name}", counts) for name in names)
        weights = sum(_weights(network.get_submodule(name)) for name in names)
        return Cost(parameters=weights, flops_per_px=flops / side_px**2)

    flops = counter.get_total_flops()
    whole = Cost(parameters=_weights(network), flops_per_px=flops / side_px**2)
    return {"all": whole, **{part: cost(names) for part, names in (parts or {}).items()}}


def _weights(network: nn.Module) -> int:
    return sum(one.numel() for one in network.parameters())


def _flops_under(name: str, counts: Mapping[str, int]) -> int:
    """Return what a submodule takes; of a list of modules, which is never called, its members."""
    if name in counts:
        return counts[name]
    below = [one for one in counts if one.startswith(f"{name}.")]
    outermost = [one for one in below if not any(one.startswith(f"{two}.") for two in below)]
    return sum(counts[one] for one in outermost)
