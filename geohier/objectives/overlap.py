"""Losses that compare where a class is found with where it is: Dice, Tversky, Lovasz.

Each is the mean over the classes that the labels of the batch hold: chips without a class count
only through what is wrongly found in them. smp's Dice and Tversky losses leave unlabelled pixels
out as well, but count classes that a batch lacks as if they were solved, so their values shrink
with the number of classes; its Lovasz loss is used.
"""

from segmentation_models_pytorch.losses import LovaszLoss
from torch import Tensor

from geohier.data.labels import IGNORE_INDEX


def dice(logits: Tensor, labels: Tensor, labelled: Tensor) -> Tensor:
    """Return 1 - 2 |A n B| / (|A| + |B|), the mean over the classes that the labels hold.

    A and B are the shares of a class in answer and labels, summed over the whole batch.

    Shape:
        - logits: `(B, K, H, W)` float32
        - labels: `(B, H, W)` class indexes, any of them where unlabelled
        - labelled: `(B, H, W)` bool
    """
    both, found, truth = _sizes(logits, labels, labelled)
    return _mean_of_present(1 - 2 * both / (found + truth).clamp(min=1), truth)


def tversky(
    logits: Tensor, labels: Tensor, labelled: Tensor, alpha: float = 0.3, beta: float = 0.7
) -> Tensor:
    """Return 1 - |A n B| / (|A n B| + alpha |A - B| + beta |B - A|) (Salehi et al., 2017).

    A - B is found wrongly, B - A is missed; with 0.5 for both it is the Dice loss.

    Shape:
        As in `dice`.
    """
    both, found, truth = _sizes(logits, labels, labelled)
    size = both + alpha * (found - both) + beta * (truth - both)
    return _mean_of_present(1 - both / size.where(truth > 0, 1), truth)


def lovasz(logits: Tensor, labels: Tensor, labelled: Tensor) -> Tensor:
    """Return the Lovasz-Softmax loss of the whole batch (Berman et al., 2018), smp's.

    Shape:
        As in `dice`.
    """
    known = labels.masked_fill(~labelled, IGNORE_INDEX)
    loss: Tensor = LovaszLoss("multiclass", ignore_index=IGNORE_INDEX)(logits, known)
    return loss.sum()  # a scalar already, except without any labelled pixel: then it is empty


def _sizes(logits: Tensor, labels: Tensor, labelled: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return |A n B|, |A| and |B| of each class, each `(K,)`."""
    classes = logits.shape[1]
    share = logits.softmax(dim=1) * labelled.unsqueeze(1)
    right = share.gather(1, labels.unsqueeze(1))  # (B, 1, H, W)
    both = share.new_zeros(classes).index_add(0, labels.flatten(), right.flatten())
    truth = labels[labelled].bincount(minlength=classes)
    return both, share.sum(dim=(0, 2, 3)), truth


def _mean_of_present(losses: Tensor, truth: Tensor) -> Tensor:
    present = truth > 0
    return (losses * present).sum() / present.sum().clamp(min=1)
