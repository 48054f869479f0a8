"""What the levels of a hierarchy say of the classes: that it is right, and that they agree."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional


def level_loss(
    logits: Sequence[Tensor], labels: Tensor, labelled: Tensor, strides: Sequence[int]
) -> Tensor:
    """Return the mean over levels of how far their shares of classes are from the true ones.

    That of a cell is the Kullback-Leibler divergence from the shares of its labelled pixels, so
    that a perfect answer costs nothing where cells are mixed; a cell counts by how much of it is
    labelled. After Lee et al. 2015, Deeply-Supervised Nets, AISTATS.

    Args:
        logits: of each level, finest first.
        labels: class indexes, any of them where unlabelled.
        labelled: which pixels have a label.
        strides: pixels per cell of each level.

    Shape:
        - logits: `(B, K, H / stride, W / stride)` each
        - labels, labelled: `(B, H, W)`
    """
    classes = logits[0].shape[1]
    counted = functional.one_hot(labels, classes).movedim(-1, 1).float() * labelled.unsqueeze(1)
    losses = []
    for one, stride in zip(logits, strides, strict=True):
        shares = functional.avg_pool2d(counted, stride)
        weight = shares.sum(dim=1)
        truth = shares / weight.clamp(min=1e-6).unsqueeze(1)
        apart = divergence(truth, one)
        losses.append((apart * weight).sum() / weight.sum().clamp(min=1e-6))
    return torch.stack(losses).mean()


def consistency_loss(logits: Sequence[Tensor]) -> Tensor:
    """Return the mean over levels of how far each is from the mean of the next finer one.

    The finer one is taken for right: no gradient flows into it.

    Shape:
        - logits: `(B, K, h, w)` each, the answer itself first, then the levels from fine to coarse;
          sides are multiples of those of the next
    """
    apart = [divergence(_pooled(fine, coarse), coarse).mean() for fine, coarse in pairwise(logits)]
    return torch.stack(apart).mean()


def _pooled(fine: Tensor, coarse: Tensor) -> Tensor:
    """Return the mean shares of a finer answer under the cells of a coarser one."""
    shares = fine.detach().float().softmax(dim=1)
    return functional.avg_pool2d(shares, fine.shape[-1] // coarse.shape[-1])


def divergence(truth: Tensor, logits: Tensor) -> Tensor:
    """Return the Kullback-Leibler divergence from shares `(B, K, h, w)`, of each cell."""
    surprise = torch.xlogy(truth, truth) - truth * logits.float().log_softmax(dim=1)
    return surprise.sum(dim=1)
