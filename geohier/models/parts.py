"""Which submodules of a network are its encoder, its pyramid, its merge and its head."""

import segmentation_models_pytorch as smp
from torch import nn

from geohier.models.segmentation import Downsampled

CALLED = {
    "encoder": "encoder",
    "decoder": "pyramid",
    "reads": "merge",
    "merge": "merge",
    "dropout": "merge",
    "segmentation_head": "head",
}
"""What submodules of a network are called; others have their own names."""

LATERAL = ("p5", "p4", "p3", "p2")
"""Submodules of smp's decoder of an fpn that make the levels; the others merge them."""


def parts_of(network: nn.Module) -> dict[str, tuple[str, ...]]:
    """Return the names of the submodules of each part of a network that predicts, in their order.

    Example:
        >>> from geohier.config.model import ModelConfig
        >>> from geohier.models.segmentation import build_segmenter
        >>> network = build_segmenter(ModelConfig(encoder="test_resnet"), bands=3, classes=2)
        >>> list(parts_of(network))
        ['encoder', 'pyramid', 'merge', 'head']
    """
    if isinstance(network, Downsampled):
        inner = parts_of(network.network)
        return {part: tuple(f"network.{one}" for one in names) for part, names in inner.items()}
    found: dict[str, list[str]] = {}
    for name, child in network.named_children():
        if isinstance(network, smp.FPN) and name == "decoder":
            for below, _ in child.named_children():
                part = "pyramid" if below in LATERAL else "merge"
                found.setdefault(part, []).append(f"decoder.{below}")
        elif isinstance(network, smp.Unet) and name == "decoder":
            found["merge"] = ["decoder"]
        else:
            found.setdefault(CALLED.get(name, name), []).append(name)
    return {part: tuple(names) for part, names in found.items()}
