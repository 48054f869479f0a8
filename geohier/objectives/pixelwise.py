"""Losses that look at each pixel by itself: cross-entropy and focal loss."""

import torch
from torch import Tensor
from torch.nn import functional


def cross_entropy(
    logits: Tensor,
    labels: Tensor,
    labelled: Tensor,
    class_weights: Tensor | None = None,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Return the mean cross-entropy over the labelled pixels, weighted by their true classes.

    Shape:
        - logits: `(B, K, H, W)` float32
        - labels: `(B, H, W)` class indexes, any of them where unlabelled
        - labelled: `(B, H, W)` bool
        - class_weights: `(K,)`
    """
    losses = functional.cross_entropy(
        logits, labels, class_weights, reduction="none", label_smoothing=label_smoothing
    )
    return _mean(losses, labels, labelled, class_weights)


def focal(
    logits: Tensor,
    labels: Tensor,
    labelled: Tensor,
    class_weights: Tensor | None = None,
    gamma: float = 2.0,
) -> Tensor:
    """Return the mean of `-(1 - p)^gamma log p` over the labelled pixels (Lin et al., 2017).

    `p` is the softmax of the true class. smp's FocalLoss is another: it asks each class by itself
    (sigmoid), so an answer that is perfect for a softmax is not for it, and a batch without labels
    gives NaN.

    Shape:
        As in `cross_entropy`.
    """
    sure = functional.cross_entropy(logits, labels, reduction="none")  # -log p
    wrong = (-torch.expm1(-sure)).clamp(min=1e-12)  # at 0, a power below 1 has no slope
    losses = wrong.pow(gamma) * sure
    if class_weights is not None:
        losses = losses * class_weights[labels]
    return _mean(losses, labels, labelled, class_weights)


def chip_losses(logits: Tensor, labels: Tensor, labelled: Tensor) -> Tensor:
    """Return the mean cross-entropy `(B,)` of each chip's labelled pixels, NaN where none is."""
    losses = functional.cross_entropy(logits, labels, reduction="none") * labelled
    return losses.sum(dim=(1, 2)) / labelled.sum(dim=(1, 2))


def _mean(losses: Tensor, labels: Tensor, labelled: Tensor, weights: Tensor | None) -> Tensor:
    """Return the sum of the labelled pixels' losses by the sum of their weights."""
    total = (losses * labelled).sum()
    if weights is None:
        return total / labelled.sum().clamp(min=1)
    heavy = (weights[labels] * labelled).sum()
    return torch.where(heavy > 0, total / torch.where(heavy > 0, heavy, 1), 0 * total)
