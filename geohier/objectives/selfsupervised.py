"""Telling alike two views of the same ground, without a single negative example.

BYOL (Grill et al. 2020, arXiv 2006.07733): the network foretells what a slowly following copy of it
makes of the other view. Losses that need negatives, as those of SimCLR and MoCo, want batches or
queues of hundreds of other places; a processor has batches of a few chips, of a few scenes, whose
"negatives" are often the same kind of ground. As in SCRL (Roh et al. 2021, arXiv 2103.06122) places
within a view are compared, not whole views: one chip gives dozens of pairs, which is what the
normalisation in BYOL's heads needs, and what segmentation asks of features.
"""

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, grid_sample, normalize

FEWEST = 2
"""Pairs that a batch must have: the heads normalise over them."""


def disagreement(foretold: Tensor, there: Tensor) -> Tensor:
    """Return 1 minus the mean cosine of vectors `(N, D)` that should point the same way, 0 to 2."""
    return 1 - cosine_similarity(foretold.float(), there.detach().float()).mean()


def features_at(levels: list[Tensor], points: Tensor) -> Tensor:
    """Return the features of all levels at points of a view.

    Shape:
        - levels: `(B, C_l, h_l, w_l)` each
        - points: `(B, P, 2)`, x before y, -1 to 1 from the first edge to the last
        - returns: `(B, P, C)`, the channels of all levels together
    """
    grid = points[:, :, None]
    found = [
        grid_sample(level.float(), grid, padding_mode="border", align_corners=False)
        for level in levels
    ]
    return torch.cat(found, dim=1)[..., 0].mT


def spread_of(vectors: Tensor) -> float:
    """Return how far vectors `(N, D)` spread: 1 if in all directions, 0 if all are the same.

    A network that answers every view alike agrees with itself, and has learnt nothing.
    """
    unit = normalize(vectors.detach().float(), dim=1)
    return float(unit.std(dim=0).mean() * unit.shape[1] ** 0.5)
