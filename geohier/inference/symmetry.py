"""Test-time augmentation over the eight symmetries of the square (the dihedral group D4)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Symmetry:
    """A rotation by quarter turns, after an optional flip from left to right."""

    turns: int
    flipped: bool

    def apply(self, pixels: Tensor) -> Tensor:
        """Transform the last two axes."""
        pixels = pixels.flip(-1) if self.flipped else pixels
        return pixels.rot90(self.turns, (-2, -1))

    def undo(self, pixels: Tensor) -> Tensor:
        """Transform the last two axes back."""
        pixels = pixels.rot90(-self.turns, (-2, -1))
        return pixels.flip(-1) if self.flipped else pixels


D4 = tuple(Symmetry(turns, flipped) for flipped in (False, True) for turns in range(4))


def mean_scores(
    model: Callable[[Tensor], Tensor], pixels: Tensor, symmetries: Sequence[Symmetry]
) -> Tensor:
    """Return scores whose softmax is the mean of the probabilities over the symmetries.

    Shape:
        - pixels: `(B, C, S, S)`, square
        - scores: `(B, K, S, S)`
    """
    total: Tensor | None = None
    for symmetry in symmetries:
        probabilities = symmetry.undo(model(symmetry.apply(pixels)).float().softmax(1))
        total = probabilities if total is None else total + probabilities
    assert total is not None, "there is at least the identity"
    tiny = torch.finfo(torch.float32).tiny
    return (total / len(symmetries)).clamp_min(tiny).log()


def mean_features(
    model: Callable[[Tensor], Tensor], pixels: Tensor, symmetries: Sequence[Symmetry]
) -> Tensor:
    """Return the mean of features over the symmetries.

    Shape:
        - pixels: `(B, C, S, S)`, square
        - features: `(B, K, s, s)`, on any coarser grid of as many cells each way
    """
    turned = (symmetry.undo(model(symmetry.apply(pixels)).float()) for symmetry in symmetries)
    return sum(turned, start=torch.zeros((), device=pixels.device)) / len(symmetries)
