"""The boundary loss: what is wrong counts by its distance from the true outline."""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from torch import Tensor


def boundary(logits: Tensor, labels: Tensor, labelled: Tensor, reach_px: int = 16) -> Tensor:
    """Return the mean over labelled pixels of the wrong shares, weighed by how far off they are.

    That of a pixel is half the sum over classes of `d |s - g|`, where s is the share that the
    answer gives to a class, g is 1 for the true one, and d is the distance from the class's outline
    as a part of `reach_px`, at most 1. It has the gradient of the boundary loss of Kervadec et al.
    (2019) with distances that end at the reach, but is 0 on a perfect answer; where a chip lacks a
    class, or holds nothing else, all of it is out of reach.

    Shape:
        - logits: `(B, K, H, W)` float32
        - labels: `(B, H, W)` class indexes, any of them where unlabelled
        - labelled: `(B, H, W)` bool
    """
    share = logits.softmax(dim=1)
    truth = torch.zeros_like(share).scatter_(1, labels.unsqueeze(1), 1)
    distance = outline_distance(labels, labelled, logits.shape[1], reach_px)
    losses = ((share - truth).abs() * distance).sum(dim=1) / 2
    return (losses * labelled).sum() / labelled.sum().clamp(min=1)


def outline_distance(labels: Tensor, labelled: Tensor, classes: int, reach_px: int) -> Tensor:
    """Return the distance of each pixel from the outline of each class, as a part of the reach.

    It is the distance to the nearest labelled pixel that lies on the other side, at most 1.

    Shape:
        - labels, labelled: `(B, H, W)`
        - returns: `(B, K, H, W)` float32, in (0, 1]
    """
    found = np.ones((len(labels), classes, *labels.shape[1:]), np.float32)
    chips = zip(labels.cpu().numpy(), labelled.cpu().numpy(), strict=True)
    for at, (chip, known) in enumerate(chips):
        for index in np.unique(chip[known]):
            inside, outside = known & (chip == index), known & (chip != index)
            far = np.where(inside, _distance_to(outside), _distance_to(inside))
            found[at, index] = np.minimum(far / reach_px, 1)
    return torch.from_numpy(found).to(labels.device)


def _distance_to(pixels: NDArray[np.bool_]) -> NDArray[np.float64] | float:
    """Return the distance of each pixel to the nearest of those that are given, in pixels."""
    return distance_transform_edt(~pixels) if pixels.any() else np.inf
