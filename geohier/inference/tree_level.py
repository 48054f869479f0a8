"""Which classes a map has: those of the model, or the groups of one level of their tree."""

from geohier.errors import ConfigError
from geohier.geo.class_tree import TreeLevel
from geohier.models.card import ClassLabel, ModelCard


def tree_level(card: ModelCard, number: int | None) -> TreeLevel | None:
    """Return a level of the tree of a model's classes, counted from 1, the coarsest; None for None.

    Raises:
        ConfigError: the classes have no tree, or the tree has no such level.
    """
    if number is None:
        return None
    if card.tree is None:
        raise ConfigError(
            f"tree level {number}, but the model's classes have no tree: leave it out, or train "
            "with data.class_tree"
        )
    levels = card.tree.levels
    if not 1 <= number <= len(levels):
        known = "level 1" if len(levels) == 1 else f"levels 1 (coarsest) to {len(levels)}"
        raise ConfigError(
            f"tree level {number}: the tree has {known} above the classes themselves, which are "
            "mapped where no level is given"
        )
    return levels[number - 1]


def mapped_classes(card: ModelCard, number: int | None) -> tuple[ClassLabel, ...]:
    """Return what a map shows: the classes, or the groups of a level of their tree.

    A group has the colour of its first class, and the label values of all.

    Raises:
        ConfigError: as `tree_level`.
    """
    level = tree_level(card, number)
    if level is None:
        return card.classes
    return tuple(
        ClassLabel(
            name=name,
            color=card.classes[level.members(group)[0]].color,
            label_values=_label_values(card, level.members(group)),
        )
        for group, name in enumerate(level.names)
    )


def _label_values(card: ModelCard, members: tuple[int, ...]) -> tuple[int, ...]:
    """Return the label values of some classes; one that names none is meant by its own number."""
    return tuple(value for at in members for value in card.classes[at].label_values or (at,))
