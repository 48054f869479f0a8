"""Answer tiles from coarser looks where these are sure, and in full where none is."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import batched

import torch
from torch import Tensor
from torch.nn import functional

from geohier.geo.coarse_view import CoarseView
from geohier.geo.tiling import Tile, TileGrid
from geohier.inference.batching import TileRow
from geohier.inference.blending import Scored
from geohier.inference.exits import COUNTED, IN_FULL, SEEN, EarlyExits
from geohier.inference.scoring import Scorer
from geohier.models.card import ModelCard


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A coarser look at some tiles of a row.

    Args:
        tiles: the tiles.
        scores: what the network answers, `(1, K, h, w)`.
        seen: pixels that it saw.
    """

    tiles: tuple[Tile, ...]
    scores: Tensor
    seen: int


class EarlyAnswers:
    """Tries the exits of a run on each tile.

    Which tiles are looked at together follows from their columns, and each is decided by itself, so
    that neither batches nor the order of the tiles, nor how a raster was cut into swaths, can
    change where one leaves.

    Args:
        exits: which looks are tried.
        grid: the tiles.
        card: the model's.
        shares: from scores `(K, H, W)` to the probabilities of what is mapped.

    Attributes:
        views: what each look sees, coarsest first.
    """

    def __init__(
        self,
        exits: EarlyExits,
        grid: TileGrid,
        card: ModelCard,
        shares: Callable[[Tensor], Tensor],
    ) -> None:
        self.exits = exits
        self.grid = grid
        self.shares = shares
        self.views = exits.views(grid, card)
        self._held: dict[int, Look] = {}
        self._taken: dict[Tile, int] = {}
        self._looks: list[tuple[tuple[Tile, ...], int]] = []

    @property
    def around(self) -> tuple[int, int]:
        """Rows and columns around a tile that have to be read with it."""
        rows, cols = zip(*(view.around for view in self.views), strict=True)
        return max(rows), max(cols)

    @torch.inference_mode()
    def score(self, row: TileRow, batch_size: int, scorer: Scorer) -> Iterator[Scored]:
        """Yield the tiles of a row that the model has to see, with their scores `(K, size, size)`.

        Raises:
            ModelError, ResourceError: as of `Scorer.score`.
        """
        self._held.clear()
        for tiles in batched(row.wanted_tiles, batch_size):
            early = [self._first_sure(tile, row, scorer) for tile in tiles]
            late = [tile for tile, found in zip(tiles, early, strict=True) if found is None]
            windows = [tile.window for tile in late]
            full = iter(scorer.fitting(row.batch(late, windows)) if late else ())
            for tile, found in zip(tiles, early, strict=True):
                yield tile, next(full) if found is None else found

    def counts(self, columns: range) -> dict[str, int]:
        """Return what the tiles of these columns come to, as a run counts it, and forget them."""
        left = [factor for tile, factor in self._taken.items() if tile.column in columns]
        seen = [one for tiles, one in self._looks if any(tile.column in columns for tile in tiles)]
        self._taken.clear()
        self._looks.clear()
        counts = Counter(f"{COUNTED}{factor}" for factor in left)
        if left:
            counts[SEEN] = sum(seen) + left.count(1) * self.grid.size**2
            counts[IN_FULL] = len(left) * self.grid.size**2
        return dict(counts)

    def _first_sure(self, tile: Tile, row: TileRow, scorer: Scorer) -> Tensor | None:
        """Return the scores of the first look at a tile that is sure, None where none is."""
        rows, cols = self._counted(tile)
        valid = None
        if not row.band.all_valid:
            there = row.band.cut(tile.window).valid.any(axis=0)[rows, cols]
            valid = torch.from_numpy(there).to(scorer.device)
        for view in self.views:
            scores = self._scores(view, tile, row, scorer)
            if self._is_sure(scores[:, rows, cols], valid):
                self._taken[tile] = view.factor
                return scores
        self._taken[tile] = 1
        return None

    def _scores(self, view: CoarseView, tile: Tile, row: TileRow, scorer: Scorer) -> Tensor:
        """Return the scores `(K, size, size)` of a tile, enlarged from those of a look."""
        held = self._held.get(view.factor)
        if held is None or tile not in held.tiles:
            held = self._held[view.factor] = _look(view, tile, row, scorer)
            self._looks.append((held.tiles, held.seen))
        seen, own = view.window(tile), tile.window
        at = own.row_off - seen.row_off, own.col_off - seen.col_off
        return _enlarged(held.scores, at, self.grid.size, view.factor)

    def _counted(self, tile: Tile) -> tuple[slice, slice]:
        """Return the pixels of a tile that count: inside the raster, and inside its margins."""
        grid, window = self.grid, tile.window
        rows = _counted(tile.row, grid.rows, window.row_off, grid.height, grid)
        return rows, _counted(tile.column, grid.columns, window.col_off, grid.width, grid)

    def _is_sure(self, scores: Tensor, valid: Tensor | None) -> bool:
        sure = self.shares(scores).amax(0) >= self.exits.sure
        if valid is None:
            return int(sure.sum()) >= self.exits.share * sure.numel()
        return int((sure & valid).sum()) >= self.exits.share * int(valid.sum())


def _look(view: CoarseView, tile: Tile, row: TileRow, scorer: Scorer) -> Look:
    """Look at the tiles that are looked at together with a tile."""
    tiles, window = view.group(tile), view.window(tile)
    pixels = scorer.normalised(row.batch(tiles[:1], [window]))
    return Look(
        tiles=tiles,
        scores=scorer.forward(scorer.coarser(pixels, view.factor)),
        seen=window.height * window.width // view.factor**2,
    )


def _enlarged(scores: Tensor, at: tuple[int, int], size: int, factor: int) -> Tensor:
    """Return a square of enlarged scores, `(K, size, size)`, of scores `(1, K, h, w)`.

    The same as a part of all of them enlarged, which would be many tiles at once.
    """
    starts = [max(start // factor - 1, 0) for start in at]
    stops = [-(-(start + size) // factor) + 1 for start in at]
    part = scores[..., starts[0] : stops[0], starts[1] : stops[1]]
    large = functional.interpolate(part, scale_factor=factor, mode="bilinear")[0]
    top, left = (start - first * factor for start, first in zip(at, starts, strict=True))
    return large[:, top : top + size, left : left + size]


def _counted(place: int, count: int, offset: int, length: int, grid: TileGrid) -> slice:
    start = grid.margin if place else 0
    return slice(start, length - offset if place == count - 1 else grid.size - grid.margin)
