"""Losses of a segmentation: each is 0 on a perfect answer and ignores unlabelled pixels."""

from collections.abc import Mapping

from torch import Tensor
from torch.nn import functional

from geohier.data.labels import IGNORE_INDEX


def segmentation_terms(logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """Return the cross-entropy and the soft Dice loss of a batch, each a scalar.

    Both are computed in float32 whatever the logits are. A batch without a labelled pixel gives
    zeros whose gradient is zero.

    Shape:
        - logits: `(B, K, H, W)`
        - labels: `(B, H, W)` class indexes, IGNORE_INDEX where unlabelled

    Example:
        >>> import torch
        >>> labels = torch.tensor([[[0, 1, 255]]])
        >>> perfect = 100 * torch.tensor([[[[1.0, 0, 0]], [[0, 1.0, 0]]]])
        >>> {name: float(term) for name, term in segmentation_terms(perfect, labels).items()}
        {'cross_entropy': 0.0, 'dice': 0.0}
    """
    logits = logits.float()
    labelled = labels != IGNORE_INDEX
    known = labels.masked_fill(~labelled, 0)
    return {
        "cross_entropy": cross_entropy(logits, known, labelled),
        "dice": dice(logits, known, labelled),
    }


def cross_entropy(logits: Tensor, labels: Tensor, labelled: Tensor) -> Tensor:
    """Return the mean cross-entropy over the labelled pixels."""
    losses = functional.cross_entropy(logits, labels, reduction="none") * labelled
    return losses.sum() / labelled.sum().clamp(min=1)


def dice(logits: Tensor, labels: Tensor, labelled: Tensor) -> Tensor:
    """Return 1 - 2 |A n B| / (|A| + |B|), the mean over the classes that the labels hold.

    A and B are the shares of a class in answer and labels, summed over the whole batch: chips
    without a class then count only through what is wrongly found in them.
    """
    classes = logits.shape[1]
    share = logits.softmax(dim=1) * labelled.unsqueeze(1)
    right = share.gather(1, labels.unsqueeze(1))  # (B, 1, H, W)
    both = share.new_zeros(classes).index_add(0, labels.flatten(), right.flatten())
    truth = labels[labelled].bincount(minlength=classes)
    size = share.sum(dim=(0, 2, 3)) + truth  # (K,)
    present = truth > 0
    losses = (1 - 2 * both / size.clamp(min=1)) * present
    return losses.sum() / present.sum().clamp(min=1)


def weigh(terms: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """Return the weighted sum of terms; every term needs a weight, which may be 0."""
    weighted = [weights[name] * term for name, term in terms.items()]
    return sum(weighted[1:], start=weighted[0])
