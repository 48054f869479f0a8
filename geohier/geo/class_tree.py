"""Trees of classes, as land cover has them: forest and crops are vegetation, and so on."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

from geohier.errors import ConfigError

MOST_LEVELS = 8
"""Levels of groups that a tree may have above its classes."""

LIKE = "{vegetation: [forest, {crops: [wheat, maize]}], bare: [bare]}"
"""What a tree looks like, for messages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeLevel:
    """One level of a tree: the classes, in groups.

    Args:
        names: of the groups, in the order of their first classes.
        group_of: for each class, which group it is in.
    """

    names: tuple[str, ...]
    group_of: tuple[int, ...]

    def members(self, group: int) -> tuple[int, ...]:
        """Return the classes of a group."""
        return tuple(at for at, one in enumerate(self.group_of) if one == group)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassTree:
    """Which groups each class is in, on one level or more.

    Classes may lie at any depth: on levels below its last group, a class is a group of its own.

    Args:
        classes: names of the classes, in the model's order.
        paths: for each class, the groups that it is in, coarsest first.

    Raises:
        ConfigError: names stand for two things, or a level has one group only or groups nothing.

    Example:
        >>> tree = ClassTree.of({"green": ["forest", {"crops": ["rye", "oats"]}], "bare": ["bare"]},
        ...                     ["bare", "forest", "rye", "oats"])
        >>> [(level.names, level.group_of) for level in tree.levels]
        [(('bare', 'green'), (0, 1, 1, 1)), (('bare', 'forest', 'crops'), (0, 1, 2, 2))]
    """

    classes: tuple[str, ...]
    paths: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        self._check_names()
        counts = [len(level.names) for level in self.levels]
        if not counts:
            raise ConfigError(f"class_tree groups nothing: give groups as in {LIKE}")
        if counts[0] < 2:
            raise ConfigError(
                f"class_tree has all classes in {self.levels[0].names[0]} on its first level: "
                "give two groups or more"
            )
        for at, (coarse, fine) in enumerate(pairwise([*counts, len(self.classes)]), start=1):
            if coarse == fine:
                raise ConfigError(
                    f"class_tree has as many groups on level {at} as there are one level finer: "
                    "leave the groups of that level out"
                )

    @classmethod
    def of(cls, nested: Mapping[str, object], classes: Sequence[str]) -> Self:
        """Return the tree that groups within groups stand for.

        Args:
            nested: groups by name; in a group stand names of classes and further groups. A class
                on its own is a group of its own name.
            classes: names of the classes, in the model's order.

        Raises:
            ConfigError: the groups do not hold each class once, or make no tree.
        """
        return cls.of_paths(list(_leaves(nested, ())), classes)

    @classmethod
    def of_paths(cls, paths: Sequence[tuple[str, tuple[str, ...]]], classes: Sequence[str]) -> Self:
        """Return the tree in which classes, by name and in any order, are in these groups.

        Raises:
            ConfigError: a class is missing or stands twice, a name is no class, or it is no tree.
        """
        found: dict[str, tuple[str, ...]] = {}
        for name, groups in paths:
            if name not in classes:
                raise ConfigError(
                    f"class_tree: {name} is no class: they are {' '.join(classes)}; groups are "
                    f"given with what is in them, as in {LIKE}"
                )
            if name in found:
                raise ConfigError(f"class_tree has the class {name} twice: leave it in one group")
            found[name] = groups
        for name in classes:
            if name not in found:
                raise ConfigError(f"class_tree lacks the class {name}: add it, as {name}: [{name}]")
        return cls(classes=tuple(classes), paths=tuple(found[name] for name in classes))

    @property
    def levels(self) -> tuple[TreeLevel, ...]:
        """The levels above the classes, coarsest first."""
        return tuple(self._level(depth) for depth in range(max(map(len, self.paths), default=0)))

    def _level(self, depth: int) -> TreeLevel:
        pairs = zip(self.classes, self.paths, strict=True)
        own = [path[depth] if depth < len(path) else name for name, path in pairs]
        names = tuple(dict.fromkeys(own))
        return TreeLevel(names=names, group_of=tuple(names.index(name) for name in own))

    def _check_names(self) -> None:
        above: dict[str, tuple[str, ...]] = {}
        for path in self.paths:
            for depth, name in enumerate(path):
                if name in self.classes:
                    raise ConfigError(
                        f"class_tree has a group {name}, but {name} is a class: rename the group, "
                        f"or let it hold that class alone ({name}: [{name}])"
                    )
                if above.setdefault(name, path[:depth]) != path[:depth]:
                    raise ConfigError(f"class_tree has two groups {name}: give each its own name")

    def reordered(self, classes: Sequence[str]) -> "ClassTree | None":
        """Return the tree for the same classes in another order, None for other classes."""
        if {*classes} != {*self.classes}:
            return None
        return ClassTree.of_paths(list(zip(self.classes, self.paths, strict=True)), classes)

    def to_json(self) -> dict[str, list[str]]:
        """Return the groups of each class as plain values."""
        pairs = zip(self.classes, self.paths, strict=True)
        return {name: list(path) for name, path in pairs}

    @classmethod
    def from_json(cls, found: object, classes: Sequence[str]) -> Self:
        """Return what `to_json` has made.

        Raises:
            ConfigError: it is nothing that `to_json` makes for these classes.
        """
        named = found.items() if isinstance(found, Mapping) else [("", found)]
        paths = [(str(name), _names(path)) for name, path in named]
        return cls.of_paths(paths, classes)


def _leaves(
    nested: Mapping[str, object], above: tuple[str, ...]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield each class below some groups, with the groups that it is in."""
    if len(above) >= MOST_LEVELS:
        raise ConfigError(
            f"class_tree is deeper than {MOST_LEVELS} levels below {above[0]}: leave groups out"
        )
    for name, content in nested.items():
        inside = content if isinstance(content, list | tuple) else [content]
        if not inside or inside == [{}]:
            raise ConfigError(f"class_tree has nothing in the group {name}: leave it out")
        if inside == [name]:
            yield name, above
            continue
        for one in inside:
            if isinstance(one, Mapping):
                yield from _leaves(one, (*above, _text(name)))
            else:
                yield _text(one), (*above, _text(name))


def _names(path: object) -> tuple[str, ...]:
    if not isinstance(path, list | tuple):
        raise ConfigError(f"class_tree has {path!r} where groups of a class were due")
    return tuple(_text(name) for name in path)


def _text(name: object) -> str:
    if not isinstance(name, str) or not name:
        raise ConfigError(f"class_tree: {name!r} is no name: quote it, or give groups as in {LIKE}")
    return name
