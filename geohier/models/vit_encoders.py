"""Plain vision transformers of timm as encoders."""

from typing import Any

import timm
from torch import Tensor

from geohier.models.pyramid_neck import PlainEncoder

PLAIN = ("vision_transformer", "vision_transformer_hybrid", "deit", "eva")
"""Files of timm whose networks are plain transformers that can take images of any size."""


class TimmViT(PlainEncoder):
    """A plain transformer of timm with a pyramid.

    Where it has learnt an embedding for each position, these are resampled to the image's size.

    Args:
        name: of the network in timm.
        bands: bands of the image.
        depth: halvings of the image.
        drop_path: chance of the last block to be dropped while training, of earlier ones less.

    Shape:
        - image: `(B, bands, H, W)`, sides divisible by `2 ** depth`
        - returns: the image, nothing at stride 2, then a level for each further halving

    Raises:
        ConfigError: patches do not halve into levels, or are coarser than the coarsest of them.
    """

    def __init__(self, name: str, bands: int, depth: int, drop_path: float) -> None:
        body: Any = timm.create_model(
            name,
            in_chans=bands,
            num_classes=0,
            global_pool="",  # which keeps the normalisation of the last map
            dynamic_img_size=True,
            drop_path_rate=drop_path,
        )
        patch = body.feature_info[-1]["reduction"]
        super().__init__(body, bands, depth, width=body.embed_dim, patch=patch)

    def tokens(self, image: Tensor) -> Tensor:
        body: Any = self.model
        (last,) = body.forward_intermediates(image, indices=1, norm=True, intermediates_only=True)
        found: Tensor = last
        return found
