"""Answer tiles from coarser looks where these are sure, and in full where none is."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from geohier.geo.coarse_view import CoarseView
from geohier.geo.tiling import Tile, TileGrid
from geohier.inference.batching import TileBatch
from geohier.inference.blending import Scored
from geohier.inference.exits import COUNTED, IN_FULL, SEEN, EarlyExits
from geohier.inference.scoring import Scorer
from geohier.models.card import ModelCard


@dataclass(frozen=True, slots=True)
class Taken:
    """How a tile left: the factor of the look, 1 for in full, and pixels the network saw of it."""

    factor: int
    seen: int


class EarlyAnswers:
    """Tries the exits of a run on each tile.

    Each tile is decided by itself, from the pixels of its view alone, so that neither batches nor
    the order of the tiles can change where it leaves.

    Args:
        exits: which looks are tried.
        grid: the tiles.
        card: the model's.
        shares: from scores `(K, H, W)` to the probabilities of what is mapped.

    Attributes:
        views: what each look sees, coarsest first.
        taken: how each tile left since they were last counted.
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
        self.taken: dict[Tile, Taken] = {}

    @property
    def reach(self) -> int:
        """Pixels around a tile that have to be read with it."""
        return max(view.reach for view in self.views)

    @torch.inference_mode()
    def score(self, batches: Iterable[TileBatch], scorer: Scorer) -> Iterator[Scored]:
        """Yield each tile with its scores `(K, size, size)`; batches are cut with their `reach`.

        Raises:
            ModelError, ResourceError: as of `Scorer.score`.
        """
        for batch in batches:
            early = self._early(batch, scorer)
            late = [at for at, scores in enumerate(early) if scores is None]
            full = iter(scorer.fitting(batch.alone(late)) if late else ())
            for tile, scores in zip(batch.tiles, early, strict=True):
                yield tile, next(full) if scores is None else scores

    def counts(self, columns: range) -> dict[str, int]:
        """Return what the tiles of these columns come to, as a run counts it, and forget them."""
        left = [one for tile, one in self.taken.items() if tile.column in columns]
        self.taken.clear()
        counts = Counter(f"{COUNTED}{one.factor}" for one in left)
        if left:
            counts[SEEN] = sum(one.seen for one in left)
            counts[IN_FULL] = len(left) * self.grid.size**2
        return dict(counts)

    def _early(self, batch: TileBatch, scorer: Scorer) -> list[Tensor | None]:
        """Return the scores of the tiles that leave early, None of the others."""
        pixels = scorer.normalised(batch)
        found = []
        for at, tile in enumerate(batch.tiles):
            valid = None if batch.valid is None else batch.valid[at].any(0).to(scorer.device)
            found.append(self._first_sure(tile, pixels[at : at + 1], valid, batch.around, scorer))
        return found

    def _first_sure(
        self, tile: Tile, pixels: Tensor, valid: Tensor | None, around: int, scorer: Scorer
    ) -> Tensor | None:
        counted = self._counted(tile)
        if valid is not None:
            inner = slice(around, around + self.grid.size)
            valid = valid[inner, inner][counted]
        seen = 0
        for view in self.views:
            window = view.window(tile)
            seen += window.height * window.width // view.factor**2
            scores = _look(view, tile, pixels, around, scorer)
            if self._is_sure(scores[:, *counted], valid):
                self.taken[tile] = Taken(view.factor, seen)
                return scores
        self.taken[tile] = Taken(1, seen + self.grid.size**2)
        return None

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


def _look(view: CoarseView, tile: Tile, pixels: Tensor, around: int, scorer: Scorer) -> Tensor:
    """Return the scores `(K, size, size)` of a tile, enlarged from those of means over squares."""
    window, seen = tile.window, view.window(tile)
    rows, cols = seen.shifted(rows=around - window.row_off, cols=around - window.col_off).slices
    cut = pixels[..., rows, cols]
    scores = scorer.forward(scorer.coarser(cut, view.factor))
    scores = functional.interpolate(scores, scale_factor=view.factor, mode="bilinear")
    inner = window.shifted(rows=-seen.row_off, cols=-seen.col_off)
    return scores[0][:, *inner.slices]


def _counted(place: int, count: int, offset: int, length: int, grid: TileGrid) -> slice:
    start = grid.margin if place else 0
    return slice(start, length - offset if place == count - 1 else grid.size - grid.margin)
