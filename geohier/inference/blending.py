"""Blend tiles into finished strips, carrying only what the next tile still has to add to.

Tiles arrive row by row, left to right. Along an axis at most two tiles meet (see `geo.tiling`), and
their weights sum to 1 on the ramp between their margins. So a tile falls into parts, each treated
once; its margins are not even looked at:

    ┌──────┬───────────────┬──────┐   head, solo: columns that are final with this tile
    │ head │     solo      │ tail │   head: the ramp, blended with what the left tile carried over
    │      │               │      │   solo: no other tile of the row has a say
    ├──────┴───────────────┤      │   tail: the ramp to the right tile, weighted and carried
    │      lower ramp      │      │
    └──────────────────────┴──────┘   lower ramp: weighted and carried down

Most of a tile is solo and above the lower ramp: it becomes labels at once, without a softmax. What
is carried is at most `K * ramp * width` numbers, however high the raster is. Weights depend on the
place in the tile only; which pixels get an answer is applied once, to the finished strip.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from geohier.geo.tiling import Tile, TileGrid
from geohier.geo.window import Window
from geohier.inference.reduction import Reducing

type Scored = tuple[Tile, Tensor | None]
"""A tile and its scores `(K, H, W)` as the model gave them; None where it did not look."""

type Layers = dict[str, Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """Rows that no later tile reaches: finished layers `(C, H, W)`, nodata filled in."""

    window: Window
    layers: Mapping[str, NDArray[np.uint8] | NDArray[np.uint16]]


def rising_ramp(overlap: int, margin: int) -> Tensor:
    """Return the weight of a tile across the overlap with the tile before it, `(overlap,)`.

    0 over the margin, rising evenly over the ramp, 1 beyond it. The tile before weighs the rest.

    Example:
        >>> rising_ramp(6, margin=1)
        tensor([0.0000, 0.1250, 0.3750, 0.6250, 0.8750, 1.0000])
    """
    ramp = overlap - 2 * margin
    weight = torch.zeros(overlap)
    weight[overlap - margin :] = 1.0
    weight[margin : overlap - margin] = (torch.arange(ramp) + 0.5) / max(ramp, 1)
    return weight


def finished_by(columns: range) -> range:
    """Return which tile columns of a swath finish pixels.

    The first column of a later swath only hands over to the second: it is the last of the swath
    before, which has finished it.
    """
    return range(columns.start + (columns.start > 0), columns.stop)


class RowBlender:
    """Blends the tile rows of a range of tile columns, one after the other.

    Args:
        grid: the tiles, in pixels of the result.
        reduction: how what is blended becomes layers.
        columns: tile columns that will arrive; all of the grid, unless a raster is cut into
            swaths, of which some are only handed over from (`finished_by`).
        device: where the scores are.
    """

    def __init__(
        self,
        grid: TileGrid,
        reduction: Reducing,
        *,
        columns: range | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self.grid = grid
        self.reduction = reduction
        self.columns = columns if columns is not None else range(grid.columns)
        self.device = torch.device(device)
        self.rising = rising_ramp(grid.ramp, margin=0).to(self.device)
        self.falling = 1 - self.rising
        self._below: dict[tuple[int, bool], Tensor] = {}

    def strip_window(self, row: int) -> Window:
        """Return the pixels that become final with tile row `row`."""
        rows = self.grid.finished_rows(row)
        own = finished_by(self.columns)
        left = self.grid.finished_columns(own.start).start
        right = self.grid.finished_columns(own.stop - 1).stop
        return Window(row_off=rows.start, col_off=left, height=len(rows), width=right - left)

    def blend_row(self, row: int, scored: Iterable[Scored], wanted: NDArray[np.bool_]) -> Strip:
        """Take all tiles of a row and return the rows of the raster that they finish.

        Args:
            row: tile row; the row above it was blended just before, if there is one.
            scored: tiles of this blender's columns, left to right; only their places count.
            wanted: pixels of `strip_window(row)` that get an answer; the others are nodata.
        """
        window = self.strip_window(row)
        layers = self._blank(window)
        left: Tensor | None = None
        for seen, scores in scored:
            tile = self.grid.tile(seen.row, seen.column)
            columns = self.grid.finished_columns(tile.column)
            first = columns.start - window.col_off
            if first >= 0:
                into = {name: layer[:, :, first:] for name, layer in layers.items()}
                self._finish(tile, scores, left, into)
            left = self._tail(tile, scores)
        return Strip(window=window, layers=_masked(layers, self.reduction, wanted))

    def _blank(self, window: Window) -> Layers:
        return {
            name: torch.full(
                (self.reduction.channels(name), window.height, window.width),
                self.reduction.nodata(name),
                dtype=self.reduction.dtype(name),
                device=self.device,
            )
            for name in self.reduction.layers
        }

    def _tail(self, tile: Tile, scores: Tensor | None) -> Tensor | None:
        """Return what a tile carries to the right, `(K, size, ramp)`."""
        if scores is None or tile.column == self.grid.columns - 1:
            return None
        start = self.grid.finished_columns(tile.column).stop - tile.window.col_off
        shared = scores[:, :, start : start + self.grid.ramp]
        return self.reduction.blendable(shared) * self.falling

    def _finish(self, tile: Tile, scores: Tensor | None, left: Tensor | None, into: Layers) -> None:
        """Write the columns that are final with a tile: first those the left tile shares."""
        columns = self.grid.finished_columns(tile.column)
        start, stop = (at - tile.window.col_off for at in (columns.start, columns.stop))
        head = self.grid.ramp if tile.column > 0 else 0
        if head:
            own = None
            if scores is not None:
                own = self.reduction.blendable(scores[:, :, start : start + head])
            seam = _handed_over(left, own, self.rising)
            self._finish_columns(tile, slice(0, head), seam, into, blended=True)
        solo = None if scores is None else scores[:, :, start + head : stop]
        self._finish_columns(tile, slice(head, len(columns)), solo, into, blended=False)

    def _finish_columns(
        self, tile: Tile, columns: slice, part: Tensor | None, into: Layers, *, blended: bool
    ) -> None:
        """Write the rows of some columns that are final, and carry their lower ramp down.

        `part` is blended from two tiles already, or holds the scores of this tile alone.
        """
        blendable = _unchanged if blended else self.reduction.blendable
        reduce = self.reduction.of_blended if blended else self.reduction.of_scores
        rows = self.grid.finished_rows(tile.row)
        start, stop = (at - tile.window.row_off for at in (rows.start, rows.stop))
        head = self.grid.ramp if tile.row > 0 else 0
        if head:
            above = self._below.pop((tile.column, blended), None)
            own = None if part is None else blendable(part[:, start : start + head])
            seam = _handed_over(above, own, self.rising[:, None])
            if seam is not None:
                _write(into, slice(0, head), columns, self.reduction.of_blended(seam))
        if part is None:
            return
        _write(into, slice(head, len(rows)), columns, reduce(part[:, start + head : stop]))
        if self.grid.ramp and tile.row < self.grid.rows - 1:
            lower = blendable(part[:, stop : stop + self.grid.ramp]) * self.falling[:, None]
            self._below[tile.column, blended] = lower


def _handed_over(before: Tensor | None, after: Tensor | None, rising: Tensor) -> Tensor | None:
    """Add what the tile before has carried over to what this tile says, by its rising weight."""
    if before is None or after is None:
        return before if after is None else after * rising
    return torch.addcmul(before, after, rising)


def _unchanged(blended: Tensor) -> Tensor:
    return blended


def _write(into: Layers, rows: slice, columns: slice, reduced: Layers) -> None:
    for name, layer in into.items():
        layer[:, rows, columns] = reduced[name]


def _masked(
    layers: Layers, reduction: Reducing, wanted: NDArray[np.bool_]
) -> dict[str, NDArray[np.uint8] | NDArray[np.uint16]]:
    finished: dict[str, NDArray[np.uint8] | NDArray[np.uint16]] = {}
    unwanted = None if wanted.all() else ~wanted
    for name, layer in layers.items():
        values = layer.cpu().numpy()
        if unwanted is not None:
            values[:, unwanted] = reduction.nodata(name)
        finished[name] = values.astype(np.uint16) if values.dtype == np.int32 else values
    return finished
