"""How several losses become one step."""

from collections.abc import Sequence

import torch
from torch import Tensor


def by_uncertainty(losses: Sequence[Tensor], log_variances: Tensor) -> Tensor:
    """Return a sum of losses, each divided by a variance that is learnt along.

    `sum(exp(-s) * loss + s)`, half of it apart as Kendall, Gal and Cipolla (2018, Multi-Task
    Learning Using Uncertainty to Weigh Losses, CVPR) have it for classes; where all `s` are 0 it is
    the plain sum.

    Shape:
        - losses: T scalars
        - log_variances: `(T,)`
    """
    return ((-log_variances).exp() * torch.stack(list(losses)) + log_variances).sum()


def without_conflicts(gradients: Tensor, generator: torch.Generator) -> Tensor:
    """Return the sum of gradients after each has lost what contradicts another.

    Where two point against each other, the one loses its part along the other, in random order
    (Yu et al. 2020, Gradient Surgery for Multi-Task Learning, NeurIPS: PCGrad).

    Shape:
        - gradients: `(T, P)`
        - returns: `(P,)`
    """
    changed = gradients.clone()
    for at, gradient in enumerate(changed):
        for other in torch.randperm(len(gradients), generator=generator).tolist():
            along = gradient @ gradients[other]
            if other != at and along < 0:
                gradient -= along / gradients[other].square().sum() * gradients[other]
    return changed.sum(dim=0)
