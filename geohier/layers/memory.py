"""What a network remembers of the ground that it has learnt from: a bank for each level."""

import hashlib
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from geohier.config.memory import MemoryConfig
from geohier.errors import ModelError
from geohier.layers.memory_bank import Bank
from geohier.layers.used import Used

CELLS = 1024
"""Cells of each chip and level that a step writes at most."""


def build_memory(config: MemoryConfig, channels: Sequence[int], classes: int) -> nn.Module | None:
    """Return the memory of a config, None where there is none.

    Args:
        config: how much is remembered, and of what.
        channels: of each level, finest first.
        classes: classes that labels may have.
    """
    return LevelMemory(config, channels, classes) if config.slots else None


class LevelMemory(nn.Module):
    """Adds to each level what the bank of this level holds of cells like these.

    It is written by `write` alone, which training calls after a step, and an update after a tile;
    nothing that predicts does. A memory that was never written, or all of whose masses are 0, adds
    exactly 0: the network answers as if it had none. What a cell reads depends on this cell alone,
    never on the tile.

    Args:
        config: slots, and of what.
        channels: of each level, finest first.
        classes: classes that labels may have.

    Shape:
        - levels: `(B, C_l, H_l, W_l)` each, finest first
        - returns: the same
        - used: `memory.l`, `(B, 1 + K, H_l, W_l)`, which sums to 1: how much of what was read is
          nothing, and how much is of each class; of motifs, of each slot
    """

    def __init__(self, config: MemoryConfig, channels: Sequence[int], classes: int) -> None:
        super().__init__()
        self.by_class = config.of == "classes"
        groups = classes if self.by_class else 1
        self.banks = nn.ModuleList(
            Bank(count, groups, config.slots, config.keep) for count in channels
        )
        if self.by_class:
            self.register_buffer("class_keys", torch.zeros(classes, dtype=torch.int64))
        self._seen: list[Tensor] = []

    def forward(self, levels: Sequence[Tensor]) -> tuple[list[Tensor], Used]:
        if self.training:
            self._seen = [level.detach() for level in levels]
        answers, used = [], {}
        for at, (bank, level) in enumerate(zip(self.banks, levels, strict=True)):
            added, weights = bank(level)
            answers.append(level + added)
            used[f"memory.{at}"] = self._by_class(weights)
        return answers, used

    def _by_class(self, weights: Tensor) -> Tensor:
        if not self.by_class:
            return weights
        of_slots = torch.unflatten(weights[:, 1:], 1, (len(self.get_buffer("class_keys")), -1))
        return torch.cat([weights[:, :1], of_slots.sum(2)], dim=1)

    @torch.no_grad()
    def write(
        self,
        labels: Tensor,
        total: Callable[[Tensor], Tensor],
        counted: Tensor | None = None,
    ) -> None:
        """Remember what the levels held when the network last looked at a batch in training mode.

        A cell is of the class that more than half of its labelled pixels have; motifs go by no
        labels. Of each chip, at most `CELLS` cells are written on each level, spread evenly.

        Args:
            labels: `(B, H, W)` of this batch, a number beyond the classes where unlabelled.
            total: the sum of a tensor over all processes, each of which writes its own chips.
            counted: `(B, H, W)`, pixels that count; a cell of more than half others is not written.
                All do where None.
        """
        seen, self._seen = self._seen, []
        if not seen:
            return
        groups = self._groups(labels, seen)
        if counted is not None:
            groups = [_of_counted(group, counted) for group in groups]
        with torch.autocast(labels.device.type, enabled=False):
            for bank, level, group in zip(self.banks, seen, groups, strict=True):
                assert isinstance(bank, Bank)
                chip, row, col = _some(group >= 0, CELLS).nonzero(as_tuple=True)
                cells = level.permute(0, 2, 3, 1)[chip, row, col]
                bank.write(cells.float(), group[chip, row, col], total)

    def wipe(self) -> None:
        """Empty all banks: the network answers as if it had no memory."""
        for bank in self.banks:
            bank.get_buffer("mass").zero_()
            bank.get_buffer("sums").zero_()

    def forget(self) -> None:
        """Let go of the batch that the network last looked at: nothing will be written of it."""
        self._seen = []

    def _groups(self, labels: Tensor, levels: Sequence[Tensor]) -> list[Tensor]:
        """Return the group `(B, H_l, W_l)` of each cell, -1 of cells that have none."""
        if not self.by_class:
            return [torch.zeros_like(level[:, 0], dtype=torch.int64) for level in levels]
        height, width = levels[0].shape[-2:]
        counts = [label_counts(labels, height, width, len(self.get_buffer("class_keys")))]
        for _ in levels[1:]:
            rows = torch.unflatten(counts[-1], 1, (-1, 2)).sum(2)
            counts.append(torch.unflatten(rows, 2, (-1, 2)).sum(3))
        return [majority(counted) for counted in counts]


def _of_counted(groups: Tensor, counted: Tensor) -> Tensor:
    """Return groups without those of cells that pixels do not count of."""
    stride = counted.shape[-1] // groups.shape[-1]
    share = functional.avg_pool2d(counted[:, None].float(), stride)[:, 0]
    return groups.masked_fill(share <= 0.5, -1)


def label_counts(labels: Tensor, height: int, width: int, classes: int) -> Tensor:
    """Return how many pixels of each class the cells of a level hold.

    Shape:
        - labels: `(B, H, W)`, a number beyond the classes where unlabelled; sides are multiples of
          the level's
        - returns: `(B, height, width, classes)`
    """
    batch, rows, cols = labels.shape
    row = torch.arange(rows, device=labels.device) // (rows // height)
    col = torch.arange(cols, device=labels.device) // (cols // width)
    chip = torch.arange(batch, device=labels.device)[:, None, None]
    cell = (chip * height + row[:, None]) * width + col
    each = classes + 1  # the last is of what has no label
    place = cell * each + labels.clamp(max=classes)
    counted = place.flatten().bincount(minlength=batch * height * width * each)
    return counted.view(batch, height, width, each)[..., :-1]


def majority(counted: Tensor) -> Tensor:
    """Return the class that more than half of a cell's labelled pixels have, or -1.

    Shape:
        - counted: `(..., classes)` pixels of each class
        - returns: `(...)`
    """
    most, found = counted.max(-1)
    return found.masked_fill(2 * most <= counted.sum(-1), -1)


def _some(wanted: Tensor, most: int) -> Tensor:
    """Return at most so many of the wanted cells of each chip `(B, H, W)`, spread over all."""
    count = wanted[0].numel()
    step = round(count * (math.sqrt(5) - 1) / 2) or 1
    while math.gcd(step, count) > 1:
        step += 1
    order = torch.arange(count, device=wanted.device) * step % count
    spread = wanted.flatten(1)[:, order]
    taken = torch.empty_like(spread)
    taken[:, order] = spread & (spread.cumsum(1) <= most)
    return taken.view_as(wanted)


def memories(network: nn.Module) -> list[LevelMemory]:
    """Return the memories of a network: one, or none."""
    return [part for part in network.modules() if isinstance(part, LevelMemory)]


def name_classes(network: nn.Module, names: Sequence[str]) -> None:
    """Note in a network's memory, if it has one, whose prototypes it holds."""
    for memory in memories(network):
        if memory.by_class:
            memory.get_buffer("class_keys").copy_(_keys(names))


def check_classes(network: nn.Module, names: Sequence[str]) -> None:
    """Check that a network's memory, if it has one, is of these classes in this order.

    Raises:
        ModelError: it is of others.
    """
    for memory in memories(network):
        keys = memory.get_buffer("class_keys").cpu() if memory.by_class else torch.zeros(0)
        if keys.any() and not torch.equal(keys, _keys(names)):
            raise ModelError(
                f"its memory was written of other classes than {' '.join(names)}, or in another "
                "order: use the card that it was saved with, or train the model again"
            )


def _keys(names: Sequence[str]) -> Tensor:
    """Return a number for each name that no other name is likely to have."""
    digests = [hashlib.sha256(name.encode()).digest()[:7] for name in names]
    return torch.tensor([int.from_bytes(digest) for digest in digests])
