"""Random pyramids, and what tests of parts of the hierarchy ask of them."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn


def pyramid(
    channels: Sequence[int] = (8, 8, 12), side: int = 32, batch: int = 1, seed: int = 0
) -> list[Tensor]:
    """Return levels, finest first, each half as large as the one before."""
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.randn(batch, count, side >> at, side >> at, generator=generator)
        for at, count in enumerate(channels)
    ]


def awakened(part: nn.Module, seed: int = 1) -> nn.Module:
    """Give all parameters that start at 0 a random value, so that the part does something."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in part.parameters():
            if not bool(value.any()):
                value.copy_(0.5 * torch.randn(value.shape, generator=generator))
    return part.eval()


def saved_elements(work: Callable[[], object]) -> int:
    """Return how many numbers a computation keeps for its gradient, each storage once."""
    storages: dict[int, int] = {}

    def pack(kept: Tensor) -> Tensor:
        storage = kept.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes() // kept.element_size()
        return kept

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda kept: kept):
        result = work()
    assert result is not None
    return sum(storages.values())
