"""What a tree of classes adds to learning: the groups are to be right, whatever the class is."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional


def tree_loss(
    logits: Tensor, labels: Tensor, labelled: Tensor, levels: Sequence[Sequence[int]]
) -> Tensor:
    """Return the cross-entropy of the groups of a tree of classes, the mean over its levels.

    The probability of a group is the sum of those of its classes. Written with the probability of
    each group within the one above it, this is the hierarchical cross-entropy of Bertinetto et al.
    2020, Making Better Mistakes, CVPR, in which a step down the tree counts once for each level
    from there on. A wrong class of the right group costs nothing here.

    Args:
        logits: of the classes.
        labels: class indexes, any of them where unlabelled.
        labelled: which pixels have a label.
        levels: for each level of the tree, the group of each class; two groups or more.

    Shape:
        - logits: `(B, K, H, W)` float32
        - labels, labelled: `(B, H, W)`
    """
    surprise = torch.stack([_surprise(logits, labels, group_of) for group_of in levels]).mean(0)
    return (surprise * labelled).sum() / labelled.sum().clamp(min=1)


def _surprise(logits: Tensor, labels: Tensor, group_of: Sequence[int]) -> Tensor:
    """Return -log p of the group of each label, `(B, H, W)`.

    By the odds of the others against the group: no digit is lost where either is sure.
    """
    groups = torch.tensor(group_of, device=logits.device)
    inside = (groups[:, None] == groups)[labels].movedim(-1, 1)  # (B, K, H, W)
    own = logits.masked_fill(~inside, -torch.inf).logsumexp(1)
    others = logits.masked_fill(inside, -torch.inf).logsumexp(1)
    return functional.softplus(others - own)
