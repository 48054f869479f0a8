"""Which label values stand for which class, wherever the classes come from."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geohier.errors import ConfigError, LabelError
from geohier.models.card import ClassLabel
from geohier.raster.layers import labels_layer

UNLABELLED = -1
"""Number of a pixel whose class is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelRules:
    """How labels on disk are to be understood.

    Args:
        classes: what the numbers of a prediction mean, with the label values of each class; as the
            prediction says if empty.
        ignore: label values that mean unlabelled, unless a class has them.
        attribute: column of polygons with label values or names of classes; without it, polygons
            are the second of two classes and the ground outside them is the first.
        outside: class of the ground outside polygons; without it, and with `attribute`, unknown.
        complete: polygons without `attribute` are all that there is of their class, so the ground
            outside them is the first class; else it is unknown.
        point_radius_m: radius in metres of the discs that stand for points.
        areas: vector file of polygons in which `outside` holds; everywhere if None.
    """

    classes: tuple[ClassLabel, ...] = ()
    ignore: tuple[int, ...] = (255,)
    attribute: str | None = None
    outside: str | None = None
    complete: bool = True
    point_radius_m: float | None = None
    areas: Path | None = None


@dataclass(frozen=True, slots=True)
class Legend:
    """Which label values stand for which class.

    Args:
        classes: the classes; one without label values is meant by its own number.
        ignore: label values that mean unlabelled.
    """

    classes: tuple[ClassLabel, ...]
    ignore: tuple[int, ...]

    def __post_init__(self) -> None:
        values = [value for value, _ in self.pairs()]
        if len(set(values)) < len(values):
            raise ConfigError(
                f"a label value stands for two classes among {values}: give it to one"
            )

    @classmethod
    def of(cls, classes: Sequence[ClassLabel], ignore: Iterable[int] = (255,)) -> "Legend":
        """Return a legend in which a class that has a value to ignore keeps it."""
        claimed = {value for one in classes for value in one.label_values}
        return cls(tuple(classes), tuple(sorted({*ignore} - claimed)))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the classes, in their order."""
        return tuple(one.name for one in self.classes)

    def to_classes(self, labels: NDArray[np.generic], where: str) -> NDArray[np.int32]:
        """Return the class of each label; NaN is unlabelled. `where` names the file in errors."""
        pairs = sorted([*self.pairs(), *((value, UNLABELLED) for value in self.ignore)])
        known, classes = (np.array(column) for column in zip(*pairs, strict=True))
        at = np.minimum(np.searchsorted(known, labels), len(known) - 1)
        found = np.where(known[at] == labels, classes[at], UNLABELLED).astype(np.int32)
        strange = labels[(known[at] != labels) & (labels == labels)]  # NaN differs from itself
        if strange.size:
            raise LabelError(
                f"{where} has label {strange[0]:g} ({np.count_nonzero(strange == strange[0])} px "
                f"at least), but the classes have {' '.join(str(value) for value in known)}: name "
                "its class with --classes, or the value to ignore with --ignore"
            )
        return found

    def class_of_name(self, name: str) -> int | None:
        """Return the class of that name, whatever its case."""
        names = [one.name.casefold() for one in self.classes]
        return names.index(name.casefold()) if name.casefold() in names else None

    def pairs(self) -> list[tuple[int, int]]:
        """Return each label value with the number of its class."""
        return [
            (value, number)
            for number, one in enumerate(self.classes)
            for value in (one.label_values or (number,))
        ]


def parse_classes(text: str) -> tuple[ClassLabel, ...]:
    """Read classes as the command line has them: names in order, with their label values.

    Raises:
        ConfigError: a name is missing or stands twice, or a label value is no whole number.

    Example:
        >>> [(one.name, one.label_values) for one in parse_classes("ground=0,building=1+255")]
        [('ground', (0,)), ('building', (1, 255))]
    """
    pairs = [part.partition("=") for part in text.split(",")]
    names = [name.strip() for name, _, _ in pairs]
    if not all(names) or len(set(names)) < len(names):
        raise ConfigError(f"--classes {text!r}: give each class a name of its own")
    colors = labels_layer(names).class_colors or ()
    try:
        values = [tuple(int(one) for one in given.split("+") if given) for _, _, given in pairs]
    except ValueError:
        raise ConfigError(
            f"--classes {text!r}: label values are whole numbers, such as ground=0,building=1+2"
        ) from None
    return tuple(
        ClassLabel(name=name, color=color, label_values=value)
        for name, color, value in zip(names, colors, values, strict=True)
    )
