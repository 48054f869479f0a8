"""What a pyramid answers, and what it answers when one of its levels brings nothing."""

from dataclasses import dataclass

import segmentation_models_pytorch as smp
import torch
from torch import Tensor, nn

from geohier.models.hierarchy import HierarchicalSegmenter
from geohier.models.level_features import merged_levels


@dataclass(frozen=True, slots=True)
class Seen:
    """An answer and the levels that it is made of.

    Args:
        logits: `(B, K, H, W)`.
        levels: `(B, C_l, H_l, W_l)` each, finest first, in the graph of the answer.
    """

    logits: Tensor
    levels: list[Tensor]


def merges_levels(network: nn.Module) -> bool:
    """Return whether a network merges levels of which one can be left out."""
    return isinstance(network, HierarchicalSegmenter | smp.FPN)


def look_without(network: nn.Module, image: Tensor, without: int | None = None) -> Seen:
    """Answer an image, with one level zeroed as it enters the merge.

    Args:
        network: one that `merges_levels`, at the resolution of the image.
        image: `(B, bands, H, W)`, normalised.
        without: number of the level that brings nothing, 0 for the finest; None for none.
    """
    if isinstance(network, HierarchicalSegmenter):
        look = network.look(image, without)
        return Seen(look.logits, look.levels)
    assert isinstance(network, smp.FPN)
    decoder = network.get_submodule("decoder")
    levels = merged_levels(decoder, network.get_submodule("encoder")(image))
    blocks = list(decoder.get_submodule("seg_blocks").children())
    read = [block(level) for block, level in zip(blocks, levels[::-1], strict=True)]
    if without is not None:
        coarsest_first = len(read) - 1 - without
        read[coarsest_first] = torch.zeros_like(read[coarsest_first])
    merged = decoder.get_submodule("merge")(read)
    dropped = decoder.get_submodule("dropout")(merged)
    return Seen(network.get_submodule("segmentation_head")(dropped), levels)
