"""How labels on disk are to be understood: which values, columns and names mean which class."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from geohier.config.schema import DataConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelRules:
    """How labels on disk are to be understood.

    Args:
        classes: label values of each class, by its name; a value of a class is always a label,
            even if the file declares it as nodata.
        attribute: column of a vector file with label values or names of classes.
        alone: class of all features of a vector file without `attribute`.
        outside: class of the ground that no feature covers; None if it is unlabelled.
        point_radius_m: radius of the disc that stands for a point, in metres on the ground; of 0,
            a point stands for the pixel that it lies in.
        areas: vector file of polygons; ground outside them that no feature covers is unlabelled.
    """

    classes: Mapping[str, tuple[int, ...]]
    attribute: str | None = None
    alone: str | None = None
    outside: str | None = None
    point_radius_m: float | None = None
    areas: Path | None = None
    _of_name: Mapping[str, int] = field(init=False, repr=False, compare=False)

    @classmethod
    def of(cls, data: DataConfig) -> Self:
        """Return what a config says."""
        names = [one.name for one in data.classes]
        said = data.labels
        return cls(
            classes={one.name: one.values for one in data.classes},
            attribute=said.attribute,
            alone=names[1] if len(names) == 2 else None,
            outside=said.outside,
            point_radius_m=said.point_radius_m,
            areas=None if said.areas is None else data.root / said.areas,
        )

    def __post_init__(self) -> None:
        firsts = {name.casefold(): values[0] for name, values in self.classes.items()}
        object.__setattr__(self, "_of_name", firsts)

    @property
    def are_for_features(self) -> bool:
        """Whether something is said that only a vector file can obey."""
        said = (self.attribute, self.outside, self.point_radius_m, self.areas)
        return any(one is not None for one in said)

    def value_of(self, name: str) -> int | None:
        """Return the label value of the class of that name, whatever its case."""
        return self._of_name.get(name.casefold())
