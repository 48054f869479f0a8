"""Early exits: which coarser looks at a tile may stand for its answer, and what that saves."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from geohier.errors import ConfigError, ModelError
from geohier.geo.coarse_view import CoarseView
from geohier.geo.tiling import TileGrid
from geohier.models.card import ModelCard

LARGEST_FACTOR = 32
TOLERANCE = 1.05
"""How much coarser than in training ground may look, as for a scene's GSD."""
COUNTED = "tiles_at_factor_"
"""What a run counts, with the factor behind: tiles that left with such a look, 1 for those that did
not leave early."""
SEEN, IN_FULL = "network_pixels", "network_pixels_in_full"
"""What a run counts: pixels that the network saw, and that it would have seen without exits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlyExits:
    """Which coarser looks at a tile are tried before it is looked at in full, and when one stands.

    Args:
        factors: pixels along each side of the squares whose means are looked at, falling.
        sure: probability that the likeliest class of a pixel must reach; above 1, no tile leaves.
        share: share of the tile's pixels that must reach it; those without data do not count.

    Raises:
        ConfigError: a number is not one that makes sense.

    Example:
        >>> EarlyExits(factors=(4, 2)).sure
        0.95
    """

    factors: tuple[int, ...]
    sure: float = 0.95
    share: float = 1.0

    def __post_init__(self) -> None:
        falling = sorted(set(self.factors), reverse=True)
        if not self.factors or list(self.factors) != falling:
            raise ConfigError(
                f"exits {_listed(self.factors) or 'none'}: give each once and the coarsest first, "
                f"such as {_listed(falling) or '4,2'}"
            )
        for factor in self.factors:
            if not 2 <= factor <= LARGEST_FACTOR:
                raise ConfigError(
                    f"exit {factor}: a coarser look averages 2 to {LARGEST_FACTOR} px a side"
                )
        if not (self.sure >= 0 and math.isfinite(self.sure)):
            raise ConfigError(f"sure {self.sure:g} is no probability: give one from 0 to 1")
        if not 0 < self.share <= 1:
            raise ConfigError(f"sure share {self.share:g}: give a share above 0, up to 1 for all")

    @property
    def identity(self) -> dict[str, object]:
        """What of it decides the result, as plain values."""
        return asdict(self)

    def views(self, grid: TileGrid, card: ModelCard) -> tuple[CoarseView, ...]:
        """Return what each look has to see of the raster, coarsest first."""
        return tuple(
            CoarseView(factor=factor, grid=grid, stride=card.stride) for factor in self.factors
        )


def check_exits(exits: EarlyExits, card: ModelCard, *, any_gsd: bool) -> tuple[str, ...]:
    """Check that a model can look at coarser pixels; return notes.

    Args:
        exits: what is asked for.
        card: the model's.
        any_gsd: accept ground that looks coarser than any that the model was trained on.

    Raises:
        ConfigError: its answer depends on the whole tile.
        ModelError: it was not trained on ground that looks as coarse.
    """
    if card.tile_dependent:
        raise ConfigError(
            "this model's answer depends on the whole tile, of which a coarser look is another "
            "one: leave the exits out, or take a model whose card has a margin"
        )
    if any_gsd:
        return ()
    if card.scale is None:
        return (
            "the card does not say how coarse the ground looked in training: what leaves early may "
            "be wrong however sure it is",
        )
    coarsest, reached = exits.factors[0], 1 / card.scale[0]
    if coarsest > reached * TOLERANCE:
        raise ModelError(
            f"exit {coarsest} looks at ground {coarsest} times as coarse, the model was trained on "
            f"{reached:.3g} times at most: train with augment.scale: [{1 / coarsest:.3g}, "
            f"{card.scale[1]:.3g}], choose a smaller exit, or use --force-gsd"
        )
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Exits:
    """Where the tiles of a run left.

    Args:
        tiles: how many left with a look of each factor, coarsest first; last those that were looked
            at in full (1). Tiles without data are not looked at.
        saved: share of the pixels that the network would have seen without exits, in which its
            arithmetic is proportional, that it did not have to see. Below 0 it saw more.
    """

    tiles: Mapping[int, int]
    saved: float

    @classmethod
    def of(cls, counts: Mapping[str, int], exits: EarlyExits) -> "Exits":
        """Return what the counts of a run come to."""
        factors = (*exits.factors, 1)
        tiles = {factor: counts.get(f"{COUNTED}{factor}", 0) for factor in factors}
        in_full = counts.get(IN_FULL, 0)
        saved = 1 - counts[SEEN] / in_full if in_full else 0.0
        return cls(tiles=tiles, saved=saved)

    @property
    def early(self) -> int:
        """Tiles that left early."""
        return sum(count for factor, count in self.tiles.items() if factor > 1)


def _listed(factors: tuple[int, ...] | list[int]) -> str:
    return ",".join(map(str, factors))
