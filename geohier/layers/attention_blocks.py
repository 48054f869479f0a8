"""Cells of a level in blocks, so that attention to what is near is a few large products."""

import torch
from torch import Tensor
from torch.nn import functional

BLOCK = 8
"""Cells a side of the blocks that are worked on together."""


def blocks(cells: Tensor, halo: int = 0) -> Tensor:
    """Cut a level into blocks, each with a halo; there are zeros beyond the level's edge.

    Shape:
        - cells: `(B, N, D, H, W)`
        - returns: `(B * n, N, cells of each, D)`
    """
    height, width = cells.shape[-2:]
    below, right = halo + -height % BLOCK, halo + -width % BLOCK
    return _cut(functional.pad(cells, (halo, right, halo, below)), BLOCK + 2 * halo, BLOCK)


def coarser_blocks(cells: Tensor, factor: int, halo: int, rows: int, cols: int) -> Tensor:
    """Cut a coarser level where the blocks of a finer one lie, each with a halo of coarser cells.

    Args:
        cells: the coarser level.
        factor: how many finer cells, a power of 2, are as long as one coarser.
        halo: in coarser cells.
        rows: rows of blocks on the finer level.
        cols: columns of them.

    Shape:
        - cells: `(B, N, D, h, w)`
        - returns: `(B * n, N, cells of each, D)`
    """
    step, repeats = max(1, BLOCK // factor), max(1, factor // BLOCK)
    below = halo + rows // repeats * step - cells.shape[-2]
    right = halo + cols // repeats * step - cells.shape[-1]
    return _cut(functional.pad(cells, (halo, right, halo, below)), step + 2 * halo, step, repeats)


def unblocked(found: Tensor, height: int, width: int) -> Tensor:
    """Put blocks together again.

    Shape:
        - found: `(B * n, N, cells of each, D)`
        - returns: `(B, N, D, H, W)`
    """
    rows, cols = counts(height, width)
    cut = torch.unflatten(torch.unflatten(found, 2, (BLOCK, BLOCK)), 0, (-1, rows, cols))
    whole = cut.permute(0, 3, 6, 1, 4, 2, 5).flatten(5, 6).flatten(3, 4)
    return whole[..., :height, :width]


def counts(height: int, width: int) -> tuple[int, int]:
    """Return how many rows and columns of blocks a level has."""
    return -(-height // BLOCK), -(-width // BLOCK)


def _cut(padded: Tensor, side: int, step: int, repeats: int = 1) -> Tensor:
    """Cut squares; each serves so many neighbouring blocks in a row and in a column."""
    cut = padded.unfold(-2, side, step).unfold(-2, side, step)  # (B, N, D, rows, cols, ...)
    if repeats > 1:
        cut = cut.repeat_interleave(repeats, 3).repeat_interleave(repeats, 4)
    return cut.permute(0, 3, 4, 1, 5, 6, 2).flatten(4, 5).flatten(0, 2)
