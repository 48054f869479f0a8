"""Which pixels of a chip a network is not shown, so that it has to think of them itself."""

import torch
from torch import Tensor


def draw_masks(
    shape: tuple[int, int, int, int],
    *,
    block_px: int,
    share: float,
    band_chance: float,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Draw masks of square blocks, and of whole bands.

    Args:
        shape: of the images, `(B, C, H, W)`.
        block_px: side of a block; those at the last row and column may be cut.
        share: share of the blocks of each image that are masked, at least one, and one is left.
        band_chance: chance of each band of an image to be masked as a whole; one is always left.
        generator: draws; torch's own where None.

    Shape:
        - returns: `(B, C, H, W)` bool, True where masked
    """
    count, bands, height, width = shape
    blocks = _draw_blocks(count, height, width, block_px, share, generator)
    hidden = torch.rand(count, bands, generator=generator) < band_chance
    left = torch.randint(bands, (count, 1), generator=generator)
    hidden.scatter_(1, left, value=False)
    return blocks | hidden[:, :, None, None]


def _draw_blocks(
    count: int,
    height: int,
    width: int,
    block_px: int,
    share: float,
    generator: torch.Generator | None,
) -> Tensor:
    rows, cols = -(-height // block_px), -(-width // block_px)
    masked = min(max(1, round(share * rows * cols)), rows * cols - 1)
    rank = torch.rand(count, rows * cols, generator=generator).argsort(dim=1).argsort(dim=1)
    blocks = (rank < masked).view(count, 1, rows, cols)
    grown = blocks.repeat_interleave(block_px, dim=2).repeat_interleave(block_px, dim=3)
    return grown[:, :, :height, :width]
