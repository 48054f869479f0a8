"""Spatial blocks: which parts of the scenes are fitted on, and which make the choices.

A random split of chips puts neighbours, which look alike, on both sides. So whole blocks are set
aside, spread over all scenes, and a buffer around each is left out of both sides.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from geohier.errors import ConfigError
from geohier.geo.window import Window, intersection


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockSplit:
    """Two parts of a scene that do not touch, each as windows that do not overlap."""

    fit: tuple[Window, ...]
    choose: tuple[Window, ...]


def blocks_of(
    height: int, width: int, block_px: int, within: Sequence[Window] = ()
) -> tuple[Window, ...]:
    """Cut a scene evenly into blocks of about `block_px`; edges get no slivers.

    Args:
        height: rows of the scene.
        width: columns of the scene.
        block_px: side that blocks should have.
        within: windows that may be used; empty for the whole scene.

    Example:
        >>> [block.width for block in blocks_of(10, 21, 10)]
        [10, 11]
    """
    grid = [
        Window(row_off=top, col_off=left, height=bottom - top, width=right - left)
        for top, bottom in pairwise(edges_of(height, block_px))
        for left, right in pairwise(edges_of(width, block_px))
    ]
    if not within:
        return tuple(grid)
    parts = (intersection(block, window) for block in grid for window in within)
    return tuple(part for part in parts if part is not None)


def block_split(
    blocks: Mapping[str, Sequence[Window]], *, share: float, buffer_px: int, seed: int
) -> dict[str, BlockSplit]:
    """Set aside a share of all blocks, spread over the scenes by their number of blocks.

    Args:
        blocks: the blocks of each scene.
        share: share of the blocks to set aside; at least one is, and at least one is left.
        buffer_px: strip around them that is in neither part, in pixels.
        seed: decides which.

    Raises:
        ConfigError: there are fewer than two blocks, or the buffers leave nothing to fit on.
    """
    chosen = _drawn({name: len(some) for name, some in blocks.items()}, share, seed)
    splits = {}
    for name, some in blocks.items():
        choose = tuple(some[at] for at in sorted(chosen.get(name, ())))
        rest = [block for at, block in enumerate(some) if at not in chosen.get(name, ())]
        fit = subtract(rest, [grown(block, buffer_px) for block in choose])
        splits[name] = BlockSplit(fit=fit, choose=choose)
    if not any(split.fit for split in splits.values()):
        raise ConfigError(
            f"buffers of {buffer_px} px around the choose blocks leave nothing to fit on: "
            "lower training.block_px or training.buffer_px"
        )
    return splits


def _drawn(counts: Mapping[str, int], share: float, seed: int) -> dict[str, set[int]]:
    """Draw blocks evenly along the list of all blocks: each scene gives about its share."""
    rng = np.random.default_rng(seed)
    order = [(name, int(at)) for name in sorted(counts) for at in rng.permutation(counts[name])]
    if len(order) < 2:
        raise ConfigError(
            f"{len(order)} block cannot be shared out: give more or larger scenes, or lower "
            "training.block_px"
        )
    count = min(max(1, round(share * len(order))), len(order) - 1)
    ends = [round(at * len(order) / count) for at in range(count + 1)]
    drawn: dict[str, set[int]] = {}
    for start, stop in pairwise(ends):
        name, at = order[int(rng.integers(start, stop))]
        drawn.setdefault(name, set()).add(at)
    return drawn


def edges_of(length: int, block_px: int) -> list[int]:
    """Return where a length is cut into even pieces of about `block_px`, both ends included."""
    count = max(1, round(length / block_px))
    return [round(at * length / count) for at in range(count + 1)]


def grown(window: Window, by_px: int) -> Window:
    """Return a window with a strip added on each side."""
    return Window(
        row_off=window.row_off - by_px,
        col_off=window.col_off - by_px,
        height=window.height + 2 * by_px,
        width=window.width + 2 * by_px,
    )


def subtract(windows: Iterable[Window], holes: Sequence[Window]) -> tuple[Window, ...]:
    """Return what is left of windows outside of all holes, again as windows."""
    left = list(windows)
    for hole in holes:
        left = [part for window in left for part in _around(window, hole)]
    return tuple(left)


def _around(window: Window, hole: Window) -> list[Window]:
    """Return the up to four windows of `window` above, left, right and below of a hole."""
    cut = intersection(window, hole)
    if cut is None:
        return [window]
    sides = [
        (window.row_off, cut.row_off, window.col_off, window.col_stop),
        (cut.row_off, cut.row_stop, window.col_off, cut.col_off),
        (cut.row_off, cut.row_stop, cut.col_stop, window.col_stop),
        (cut.row_stop, window.row_stop, window.col_off, window.col_stop),
    ]
    return [
        Window(row_off=top, col_off=left, height=bottom - top, width=right - left)
        for top, bottom, left, right in sides
        if top < bottom and left < right
    ]
