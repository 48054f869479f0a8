"""Label values and class indexes: the lookup from one to the other, and the check before it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geohier.config.classes import ClassConfig
from geohier.errors import LabelError

IGNORE_INDEX = 255
"""Class index of a pixel that is unlabelled, nodata, or outside the part that may be used."""


@dataclass(frozen=True, slots=True)
class LabelTable:
    """Turns label values into class indexes.

    Args:
        classes: classes in the model's order, each with its label values.
        ignore: label values that mean unlabelled.

    Example:
        >>> ground = ClassConfig(name="ground", values=(0,), color="#000000")
        >>> roof = ClassConfig(name="roof", values=(10, 11), color="#ff0000")
        >>> LabelTable((ground, roof), ignore=(255,)).indexes(np.array([0, 11, 255])).tolist()
        [0, 1, 255]
    """

    classes: tuple[ClassConfig, ...]
    ignore: tuple[int, ...]
    _values: NDArray[np.int64] = field(init=False, repr=False, compare=False)
    _indexes: NDArray[np.uint8] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        pairs = [(value, at) for at, one in enumerate(self.classes) for value in one.values]
        pairs = sorted([*pairs, *((value, IGNORE_INDEX) for value in set(self.ignore))])
        object.__setattr__(self, "_values", np.array([value for value, _ in pairs]))
        object.__setattr__(self, "_indexes", np.array([at for _, at in pairs], np.uint8))

    @property
    def values(self) -> tuple[int, ...]:
        """All label values that are known, rising."""
        return tuple(self._values.tolist())

    def indexes(self, labels: NDArray[np.generic]) -> NDArray[np.uint8]:
        """Return the class index of each label value; `survey` has refused unknown ones."""
        found: NDArray[np.uint8]
        if labels.dtype == np.uint8:  # the common case: one look into a table per pixel
            table = np.full(256, IGNORE_INDEX, np.uint8)
            known = (self._values >= 0) & (self._values < 256)
            table[self._values[known]] = self._indexes[known]
            found = table[labels]
        else:
            at = np.searchsorted(self._values, labels).clip(max=len(self._values) - 1)
            found = self._indexes[at]
            found[self._values[at] != labels] = IGNORE_INDEX
        return found


def count_values(labels: NDArray[np.generic]) -> dict[float, int]:
    """Return how many pixels have each label value."""
    if labels.dtype == np.uint8:
        counts = np.bincount(labels.astype(np.uint8, copy=False).ravel(), minlength=256)
        return {float(value): int(counts[value]) for value in np.flatnonzero(counts)}
    values, counts = np.unique(labels[labels == labels], return_counts=True)  # NaN is no label
    return dict(zip(values.astype(float).tolist(), counts.tolist(), strict=True))


def check_values(counts: Mapping[float, int], table: LabelTable, mask: Path) -> None:
    """Check that every label value of a mask is a class or ignored.

    Raises:
        LabelError: some is not; the message names the file, the values and their counts.
    """
    unknown = {value: count for value, count in counts.items() if value not in table.values}
    if unknown:
        listed = ", ".join(
            f"{value:g} ({count} px)" for value, count in sorted(unknown.items())[:8]
        )
        raise LabelError(
            f"{mask}: label values {listed} are neither a class nor ignored "
            f"(classes {_class_values(table.classes)}, ignore {_listed(table.ignore)}): "
            "add them to data.classes or set data.ignore"
        )


def check_classes(counts: Mapping[float, int], table: LabelTable, root: Path) -> None:
    """Check that the train masks together hold two classes or more.

    Raises:
        LabelError: one class or none is left; where 255 is ignored but looks like a class (masks
            of 0 and 255 are the commonest), the message says how to state it.
    """
    present = [one.name for one in table.classes if any(counts.get(value) for value in one.values)]
    if len(present) >= 2:
        return
    found = " ".join(f"{value:g}" for value in sorted(counts))
    hint = "check data.classes against the masks"
    left_out = [value for value in table.ignore if counts.get(float(value))]
    if left_out:
        kept = [value for value in table.ignore if value != left_out[0]]
        hint = (
            f"if {left_out[0]} is a class, state it as `classes: {{{left_out[0]}: name}}` "
            f"with `ignore: {kept or 'null'}`"
        )
    raise LabelError(
        f"{root}: the train masks hold the values {found}, which leaves "
        f"{'only the class ' + present[0] if present else 'no class'} to learn: {hint}"
    )


def _listed(values: Sequence[int]) -> str:
    return " ".join(map(str, values)) or "none"


def _class_values(classes: Sequence[ClassConfig]) -> str:
    return ", ".join(f"{one.name} = {' '.join(map(str, one.values))}" for one in classes)
