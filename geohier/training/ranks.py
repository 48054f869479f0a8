"""Processes that share each batch of a training: process r of W has its chips r, r + W, r + 2W, ...

Losses such as Dice are no sums over chips, and a step is taken or skipped by what the whole batch
holds. So the logits of all are gathered, and each process computes the loss of the whole batch and
decides as the others do. Where there is one process alone, every function here gives back what it
was given.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from timm.layers.norm_act import convert_sync_batchnorm
from torch import Tensor, distributed, nn

from geohier.config.schema import TrainConfig
from geohier.efficiency.precision import choose_device
from geohier.errors import ResourceError


@dataclass(frozen=True, slots=True)
class Rank:
    """Which of the processes of a training this is.

    Args:
        number: its number, counted from 0.
        of: how many there are.
    """

    number: int = 0
    of: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process writes, and shows how far the training is."""
        return self.number == 0


def current_rank() -> Rank:
    """Return which process this is, of those that have met."""
    if distributed.is_available() and distributed.is_initialized():
        return Rank(distributed.get_rank(), distributed.get_world_size())
    return Rank()


def check_devices(config: TrainConfig) -> None:
    """Check that each process of a training has a device.

    Raises:
        ResourceError: there are fewer GPUs than processes, or they cannot talk to each other.
    """
    wanted, device = config.training.processes, choose_device()
    there = {"cuda": torch.cuda.device_count(), "mps": 1}.get(device.type, wanted)
    if wanted > there:
        raise ResourceError(
            f"training.processes is {wanted}, but there is a GPU for {there} only: set it to "
            f"{there}"
        )


def synchronised(network: nn.Module) -> nn.Module:
    """Return a network whose batch normalisations go by the whole batch; only GPUs can do so.

    timm's conversion also knows normalisations that hold an activation.
    """
    converted: nn.Module = convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
    return converted


def whole_batch(own: Tensor) -> Tensor:
    """Return what all processes have of a batch, in the order of its chips.

    The gradient flows to one's own part alone: that of the others is theirs to compute.

    Shape:
        - own: `(B / W, ...)`, as much in each process
        - returns: `(B, ...)`
    """
    rank = current_rank()
    if rank.of == 1:
        return own
    sent = own.detach().contiguous()
    parts = [torch.empty_like(sent) for _ in range(rank.of)]
    distributed.all_gather(parts, sent)
    parts[rank.number] = own
    return torch.stack(parts, dim=1).flatten(0, 1)


def share_changes(values: Iterable[Tensor], before: Iterable[Tensor]) -> None:
    """Make running statistics, equal before a batch, equal again: they change by the mean change.

    What no process has changed stays as it is, to the bit.

    Args:
        values: as they are now, changed in place; counters are left alone.
        before: as they were, on all processes.
    """
    rank = current_rank()
    if rank.of == 1:
        return
    pairs = [(now, was) for now, was in zip(values, before, strict=True) if now.is_floating_point()]
    if pairs:
        changes = torch.cat([(now - was).flatten() for now, was in pairs])
        distributed.all_reduce(changes)
        means = torch.split(changes / rank.of, [now.numel() for now, _ in pairs])
        for (now, was), mean in zip(pairs, means, strict=True):
            now.copy_(was + mean.view_as(was))


def summed(own: Tensor) -> Tensor:
    """Return the sum over all processes."""
    if current_rank().of > 1:
        own = own.clone()
        distributed.all_reduce(own)
    return own
