"""What objects look like beside their class: where they meet, and how far off that is."""

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt
from torch import Tensor
from torch.nn import functional


def edge_loss(logits: Tensor, labels: Tensor, labelled: Tensor, width_px: int) -> Tensor:
    """Return the mean binary cross-entropy of edges, over labelled pixels.

    Edges and the rest count alike, however few there are of one; 0 where nothing is labelled.

    Shape:
        - logits: `(B, 1, H, W)`, of being on an edge
        - labels: `(B, H, W)` class indexes, any of them where unlabelled
        - labelled: `(B, H, W)` bool
    """
    edges = edges_of(labels, labelled, width_px)
    losses = functional.binary_cross_entropy_with_logits(
        logits[:, 0].float(), edges.float(), reduction="none"
    )
    sides = [edges, labelled & ~edges]
    means = [(losses * side).sum() / side.sum().clamp(min=1) for side in sides]
    return torch.stack(means).mean()


def edges_of(labels: Tensor, labelled: Tensor, width_px: int) -> Tensor:
    """Return `(B, H, W)`: which labelled pixels have another class within `width_px`.

    Distance is that of the larger of rows and columns; what is unlabelled is no other class.
    """
    side = 2 * width_px + 1
    shown = labels.float()
    highest = functional.max_pool2d(
        shown.masked_fill(~labelled, -torch.inf), side, stride=1, padding=width_px
    )
    lowest = -functional.max_pool2d(
        (-shown).masked_fill(~labelled, -torch.inf), side, stride=1, padding=width_px
    )
    return labelled & (highest != lowest)


def distance_loss(found: Tensor, labels: Tensor, labelled: Tensor, reach_px: int) -> Tensor:
    """Return the mean absolute error of distances, over labelled pixels; 0 where there are none.

    Shape:
        - found: `(B, 1, H, W)`, as parts of the reach
        - labels, labelled: as for `edge_loss`
    """
    truth = own_distance(labels, labelled, reach_px)
    errors = (found[:, 0].float() - truth).abs()
    return (errors * labelled).sum() / labelled.sum().clamp(min=1)


def own_distance(labels: Tensor, labelled: Tensor, reach_px: int) -> Tensor:
    """Return `(B, H, W)`: distance of each pixel from the next other class, as a part of the reach.

    It is 1 from the reach on, and where a chip holds one class alone.
    """
    found = np.ones(labels.shape, np.float32)
    chips = zip(labels.cpu().numpy(), labelled.cpu().numpy(), strict=True)
    for at, (chip, known) in enumerate(chips):
        for index in np.unique(chip[known]):
            inside, outside = known & (chip == index), known & (chip != index)
            if outside.any():
                found[at, inside] = distance_transform_edt(~outside)[inside] / reach_px
    return torch.from_numpy(found.clip(max=1)).to(labels.device)
