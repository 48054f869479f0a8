"""Prototypes of what cells of one level look like: read by attention, written by averages."""

import math
from collections.abc import Callable

import torch
from timm.layers.norm import LayerNorm2d
from torch import Tensor, nn
from torch.nn import functional

FADED = 0.05
"""Share of the usual mass of its group's slots below which a slot is given anew."""

SHARPNESS = 10.0
"""How sharply a read picks the likest slots at first."""


class Bank(nn.Module):
    """So many slots for each group of cells, each with the mean of the cells that were like it.

    Several prototypes per class, each cell written to the likest one, by a running mean, as in Zhou
    et al. 2022, Rethinking Semantic Segmentation: A Prototype View, CVPR; sums and masses as in van
    den Oord et al. 2017, Neural Discrete Representation Learning, appendix A. How alike two cells
    are is the correlation of their channels. A slot without mass has not been written: it takes no
    part in reading. Capacity is fixed.

    Args:
        channels: of the level.
        groups: kinds of cells that have slots of their own.
        slots: of each group.
        keep: share of a mean that a write keeps.
    """

    sums: Tensor
    mass: Tensor

    def __init__(self, channels: int, groups: int, slots: int, keep: float) -> None:
        super().__init__()
        self.groups, self.slots, self.keep = groups, slots, keep
        self.register_buffer("sums", torch.zeros(groups * slots, channels))
        self.register_buffer("mass", torch.zeros(groups * slots))
        self.normed = LayerNorm2d(channels, affine=False)
        self.log_sharpness = nn.Parameter(torch.tensor(math.log(SHARPNESS)))
        self.nothing = nn.Parameter(torch.zeros(()))
        self.project = nn.Linear(channels, channels, bias=False)
        nn.init.zeros_(self.project.weight)

    def forward(self, level: Tensor) -> tuple[Tensor, Tensor]:
        """Return what is to be added to a level, and how much of it is of which slot.

        Besides the slots there is nothing to be read, of a score that is learnt: a bank without any
        written slot adds exactly 0.

        Shape:
            - level: `(B, C, H, W)`
            - returns: the same; `(B, 1 + M, H, W)`, which sum to 1: nothing, then each slot
        """
        prototypes = self._prototypes()
        scores = functional.conv2d(self.normed(level), prototypes[:, :, None, None])
        scores = scores.float() * (self.log_sharpness.exp() / level.shape[1])
        scores = scores.masked_fill((self.mass == 0)[:, None, None], -torch.inf)
        nothing = self.nothing.expand_as(scores[:, :1])
        weights = torch.cat([nothing, scores], dim=1).softmax(dim=1)
        values = self.project(prototypes).t()  # (C, M)
        return functional.conv2d(weights[:, 1:], values[:, :, None, None]), weights

    def _prototypes(self) -> Tensor:
        """Return the mean of each slot, `(M, C)`, with mean 0 and variance 1; 0 where unwritten."""
        unwritten = (self.mass == 0)[:, None]
        means = (self.sums / self.mass[:, None]).masked_fill(unwritten, 0)
        return functional.layer_norm(means, means.shape[-1:])

    @torch.no_grad()
    def write(self, cells: Tensor, groups: Tensor, total: Callable[[Tensor], Tensor]) -> None:
        """Move slots towards the cells that are like them.

        A group that has a slot left gives it the cells that are less like its other slots than its
        cells on average; a slot that hardly any cell comes to any more is given anew. Slots of a
        group without cells stay as they are. The result does not depend on how the cells are shared
        out to processes.

        Args:
            cells: `(N, C)`, float32.
            groups: `(N,)` number of each cell's group.
            total: the sum of a tensor over all processes that write together.
        """
        slots, present = self._assign(cells, groups, total)
        assigned = functional.one_hot(slots, len(self.mass)).to(cells)
        brought = total(assigned.t() @ torch.cat([cells, torch.ones_like(cells[:, :1])], dim=1))
        new = (self.mass == 0).to(cells)
        kept = self.keep * (1 - new)
        written = present.repeat_interleave(self.slots)
        sums = kept[:, None] * self.sums + (1 - kept)[:, None] * brought[:, :-1]
        mass = kept * self.mass + (1 - kept) * brought[:, -1]
        self.sums.copy_(torch.where(written[:, None], sums, self.sums))
        self.mass.copy_(torch.where(written, mass, self.mass))
        self._forget()

    def _assign(
        self, cells: Tensor, groups: Tensor, total: Callable[[Tensor], Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Return the slot of each cell, and which groups have cells in any process."""
        normed = functional.layer_norm(cells, cells.shape[-1:])
        scores = normed @ self._prototypes().t() / cells.shape[1]
        of_group = torch.arange(len(self.mass), device=cells.device) // self.slots
        open_to = (groups[:, None] == of_group) & (self.mass > 0)
        best, slots = scores.masked_fill(~open_to, -2).max(1)  # a correlation is -1 or more
        members = functional.one_hot(groups, self.groups).to(cells)
        count, likeness = total(members.t() @ torch.stack([torch.ones_like(best), best], 1)).t()
        free = (self.mass == 0).view(self.groups, self.slots)
        first = free.int().argmax(1) + torch.arange(self.groups, device=cells.device) * self.slots
        usual = torch.where(free.all(1), torch.inf, likeness / count.clamp(min=1))
        anew = free.any(1)[groups] & (best < usual[groups])
        return torch.where(anew, first[groups], slots), count > 0

    def _forget(self) -> None:
        mass = self.mass.view(self.groups, self.slots)
        faded = (mass < FADED * mass.mean(1, keepdim=True)).flatten()
        self.mass.masked_fill_(faded, 0)
        self.sums.masked_fill_(faded[:, None], 0)
