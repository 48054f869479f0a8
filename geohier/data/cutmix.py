"""CutMix of labelled chips: a rectangle of one stands in another, with all that belongs to it."""

import torch
from torch import Tensor


def cut_mix(image: Tensor, labels: Tensor, chance: float) -> tuple[Tensor, Tensor]:
    """Replace a rectangle of some chips by that of the next chip of the batch.

    Pixels, blanks and labels move together: what was unlabelled in one chip is unlabelled in the
    other, so nothing is learnt of a class that no one has seen there. The share of a chip that is
    replaced is uniform, as is its place (Yun et al., 2019). Draws from torch's CPU generator.

    Shape:
        - image: `(B, C, H, W)`
        - labels: `(B, H, W)`

    Args:
        image: images of a batch, changed into new ones.
        labels: their labels.
        chance: chance of each chip.
    """
    mixed_image, mixed_labels = image.clone(), labels.clone()
    height, width = labels.shape[-2:]
    for at in torch.nonzero(torch.rand(len(labels)) < chance).flatten().tolist():
        side, down, right = torch.rand(3).tolist()
        rows = _span(height, side**0.5, down)
        cols = _span(width, side**0.5, right)
        other = (at + 1) % len(labels)
        mixed_image[at, :, rows, cols] = image[other, :, rows, cols]
        mixed_labels[at, rows, cols] = labels[other, rows, cols]
    return mixed_image, mixed_labels


def _span(length: int, share: float, place: float) -> slice:
    """Return a part of an axis: so long, and so far along what room is left."""
    size = round(length * share)
    start = round((length - size) * place)
    return slice(start, start + size)
