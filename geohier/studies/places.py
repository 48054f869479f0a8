"""Places on a raster, of named classes: points, and polygons of any size, in any vector file."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from geohier.data.class_guess import MOST_CLASSES
from geohier.data.label_features import LabelFeatures, read_label_features
from geohier.data.label_rules import LabelRules
from geohier.errors import ConfigError, LabelError
from geohier.raster.files import shown
from geohier.raster.outlines import read_features


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Places on a raster's grid.

    Args:
        path: file that they are from.
        features: their shapes on the grid; what they label a pixel with is the number of the place.
        classes: class of each, as an index into `names`; -1 where it has none.
        names: names of the classes, in the order of their label values or of the alphabet.
        values: label value of each class, where the file has numbers; else empty.
        notes: what a user should know about them.
    """

    path: Path
    features: LabelFeatures
    classes: NDArray[np.int64]
    names: tuple[str, ...]
    values: tuple[float, ...]
    notes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.classes)

    def inside(self, grid: GeoBox) -> NDArray[np.bool_]:
        """Return which places lie on the grid, if only in part."""
        return np.asarray(
            shapely.intersects(self.features.shapes, shapely.box(0, 0, grid.width, grid.height))
        )


def read_places(path: Path, grid: GeoBox, *, radius_m: float = 0) -> Places:
    """Read the features of a vector file as places of one kind.

    Args:
        path: vector file in any CRS.
        grid: grid of the raster.
        radius_m: radius of the disc that a point stands for, in metres on the ground; with 0 it
            stands for the pixel that it lies in.

    Raises:
        LabelError: nothing of it can be placed on the raster.
        InputError: the file cannot be read.
    """
    rules = LabelRules(classes={"place": (0,)}, alone="place", point_radius_m=radius_m)
    features = read_label_features(path, grid, rules)
    return _places(path, features, ("place",), ())


def read_labelled_places(
    path: Path, grid: GeoBox, attribute: str | None, *, radius_m: float = 0
) -> Places:
    """Read the features of a vector file as places whose classes a column names.

    Args:
        path: vector file in any CRS.
        grid: grid of the raster.
        attribute: the column, of names or of numbers. Places without one have no class.
        radius_m: radius of the disc that a point stands for, in metres on the ground; with 0 it
            stands for the pixel that it lies in.

    Raises:
        LabelError: nothing of it can be placed on the raster.
        ConfigError: there is no such column, or it holds other things than classes.
        InputError: the file cannot be read.
    """
    column = _column(path, attribute)
    numbers = column.dtype.kind in "iufb"
    names = [] if numbers else _names(column)
    rules = LabelRules(
        classes={name: (at,) for at, name in enumerate(names)},
        attribute=attribute,
        point_radius_m=radius_m,
    )
    features = read_label_features(path, grid, rules)
    known = np.unique(features.values[~np.isnan(features.values)])
    if len(names or known) > MOST_CLASSES:
        raise ConfigError(
            f"{shown(path)}: {attribute} has {len(names or known)} different values in "
            f"{len(column)} features: classes are {MOST_CLASSES} at most, choose another attribute"
        )
    if numbers:
        return _places(path, features, [f"{value:.15g}" for value in known], known.tolist())
    return _places(path, features, names, ())


def _column(path: Path, attribute: str | None) -> Any:  # noqa: ANN401 - geopandas is untyped
    """Return the column of a vector file that names classes."""
    frame = read_features(path)
    if frame.empty:
        raise LabelError(f"{shown(path)} holds no features: give points or polygons")
    columns = [str(name) for name in frame.columns if name != frame.geometry.name]
    there = f"its attributes are {', '.join(columns)}" if columns else "it has no attributes"
    if attribute is None:
        raise ConfigError(f"{shown(path)}: say which attribute names the classes; {there}")
    if attribute not in columns:
        raise ConfigError(f"{shown(path)} has no attribute {attribute}; {there}")
    return frame[attribute]


def _names(column: Any) -> list[str]:  # noqa: ANN401 - as above
    """Return the names in a column; those that differ in case alone are one."""
    texts = sorted({text for text in column.fillna("").astype(str) if text})
    return list({text.casefold(): text for text in reversed(texts)}.values())[::-1]


def _places(
    path: Path, features: LabelFeatures, names: Sequence[str], values: Sequence[float]
) -> Places:
    """Turn the label values of features into classes, and number the features instead."""
    named = ~np.isnan(features.values)
    if not len(named):
        raise LabelError(f"{shown(path)} holds no features: give points or polygons")
    if not named.any():
        raise LabelError(f"{shown(path)}: none of its {len(named)} features has a class")
    classes = np.full(len(named), -1, np.int64)
    found = features.values[named]
    classes[named] = np.searchsorted(values, found) if len(values) else found
    numbered = replace(features, values=np.arange(len(named), dtype=np.float64))
    without = int((~named).sum())
    lost = (f"{shown(path)}: {without} features have no class: left out",) if without else ()
    return Places(
        path=path,
        features=numbered,
        classes=classes,
        names=tuple(names),
        values=tuple(values),
        notes=(*features.notes, *lost),
    )
