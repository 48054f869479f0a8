"""Which levels of a model are written as features in place of classes."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from geohier.errors import ConfigError
from geohier.geo.gsd import span_of_m
from geohier.models.card import ModelCard


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureLevel:
    """One level of a network's hierarchy.

    Args:
        level: its number; 0 is the finest.
        stride: pixels of the image per cell.
        channels: features of each cell.
    """

    level: int
    stride: int
    channels: int


@dataclass(frozen=True, slots=True)
class Features:
    """Chosen levels of a model, finest first, on the grid of the finest of them."""

    levels: tuple[FeatureLevel, ...]

    @property
    def stride(self) -> int:
        """Pixels of the scene per cell of the result."""
        return self.levels[0].stride

    @property
    def channels(self) -> int:
        """Features of each cell, of all levels."""
        return sum(level.channels for level in self.levels)

    @property
    def names(self) -> tuple[str, ...]:
        """Name of each feature, such as `level1_c007`."""
        return tuple(
            f"level{level.level}_c{channel:03d}"
            for level in self.levels
            for channel in range(level.channels)
        )

    @property
    def identity(self) -> list[dict[str, int]]:
        """What is written, as JSON has it."""
        return [asdict(level) for level in self.levels]


def choose_levels(
    there: Sequence[tuple[int, int]], wanted: Sequence[int], card: ModelCard
) -> Features:
    """Return the features of the wanted levels.

    Args:
        there: stride and channels of each level of the model, finest first.
        wanted: numbers of levels, in any order; 0 is the finest.
        card: the model's.

    Raises:
        ConfigError: no level is asked for, one twice, or one that the model does not have; or
            tiles would not lie on the cells of a level.
    """
    levels = [
        FeatureLevel(level=at, stride=stride, channels=channels)
        for at, (stride, channels) in enumerate(there)
    ]
    if not wanted or len(set(wanted)) < len(wanted):
        numbers = ", ".join(map(str, wanted)) or "none"
        raise ConfigError(f"levels {numbers}: name one level or more, each once")
    unknown = [str(number) for number in wanted if not 0 <= number < len(levels)]
    if unknown:
        shown = ", ".join(_in_words(level, card) for level in levels)
        raise ConfigError(f"no level {', '.join(unknown)} in the model, which has {shown}")
    chosen = tuple(levels[number] for number in sorted(wanted))
    if card.stride % chosen[-1].stride:
        raise ConfigError(
            f"level {chosen[-1].level} has a stride of {chosen[-1].stride} px, but the card says "
            f"that tiles lie on multiples of {card.stride} px: correct the card's stride"
        )
    return Features(chosen)


def _in_words(level: FeatureLevel, card: ModelCard) -> str:
    stride = f"{level.level} (stride {level.stride} px"
    if card.gsd_m is None:
        return f"{stride})"
    return f"{stride}, GSD {span_of_m(*(level.stride * gsd for gsd in card.gsd_m))})"
