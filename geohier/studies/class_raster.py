"""A class raster on disk: which class each pixel has, and what the classes are."""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from geohier.errors import ConfigError, GeohierError, InputError
from geohier.geo.class_tree import ClassTree
from geohier.geo.window import Window
from geohier.models.card import ClassLabel
from geohier.raster.access import open_dataset, raster_io
from geohier.raster.files import shown
from geohier.raster.grid import grid_of
from geohier.raster.layers import CLASS_TREE_TAG, LABEL_VALUES_TAG, labels_layer
from geohier.raster.vrt import CLASSES_TAG
from geohier.studies.legend import UNLABELLED

INTEGERS = ("uint8", "int8", "uint16", "int16", "int32")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassRaster:
    """An open class raster: values are numbers of classes.

    Args:
        dataset: the open file.
        path: its path, for messages.
        grid: its place on the ground.
        nodata: value that means "not predicted".
        classes: what the numbers mean; empty where the file does not say.
        tree: groups of the classes, if the file names some.
    """

    dataset: rasterio.DatasetReader
    path: Path
    grid: GeoBox
    nodata: int
    classes: tuple[ClassLabel, ...]
    tree: ClassTree | None = None

    def read(self, window: Window) -> NDArray[np.int32]:
        """Return the class of each pixel of a window, `UNLABELLED` where there is none."""
        rows, columns = window.slices
        at = ((rows.start, rows.stop), (columns.start, columns.stop))
        with raster_io(self.path, window=window):
            values = self.dataset.read(1, window=at).astype(np.int32)
        return np.where(values == self.nodata, np.int32(UNLABELLED), values)


@contextmanager
def open_classes(path: Path) -> Iterator[ClassRaster]:
    """Open a class raster.

    Raises:
        InputError: the file cannot be read, or holds something else than numbers of classes.
    """
    with open_dataset(path) as dataset:
        if dataset.count != 1 or dataset.dtypes[0] not in INTEGERS:
            raise InputError(
                f"{shown(path)} has {dataset.count} bands of {dataset.dtypes[0]}: a prediction is "
                "one band of class numbers (give the labels, not the probabilities)"
            )
        classes = classes_of(dataset, path)
        yield ClassRaster(
            dataset=dataset,
            path=path,
            grid=grid_of(dataset),
            nodata=UNLABELLED if dataset.nodata is None else int(dataset.nodata),
            classes=classes,
            tree=tree_of(dataset, path, classes),
        )


def classes_of(dataset: rasterio.DatasetReader, path: Path) -> tuple[ClassLabel, ...]:
    """Return the classes that a raster names in its tags, with their label values, if it does.

    Raises:
        InputError: the tag makes no sense.
    """
    tags = dataset.tags()
    text = tags.get(CLASSES_TAG)
    if text is None:
        return ()
    try:
        entries = [entry for entry in json.loads(text) if not entry.get("nodata")]
        entries.sort(key=lambda entry: int(entry["value"]))
        if [int(entry["value"]) for entry in entries] != list(range(len(entries))):
            raise ValueError("its values are not 0, 1, 2 and so on")  # noqa: TRY301
        colors = [f"#{entry['color_hint']}" if "color_hint" in entry else None for entry in entries]
        names = [str(entry["name"]) for entry in entries]
        filled = labels_layer(names, colors).class_colors or ()
        values = json.loads(tags.get(LABEL_VALUES_TAG, "[]")) or [[] for _ in names]
        labels = [
            ClassLabel(name=name, color=color, label_values=tuple(map(int, numbers)))
            for name, color, numbers in zip(names, filled, values, strict=True)
        ]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f"{shown(path)}: its classes cannot be read: {error}") from error
    return tuple(labels)


def tree_of(
    dataset: rasterio.DatasetReader, path: Path, classes: Sequence[ClassLabel]
) -> ClassTree | None:
    """Return the tree of its classes that a raster names in its tags, if it does.

    Raises:
        InputError: the tag makes no sense.
    """
    text = dataset.tags().get(CLASS_TREE_TAG)
    if text is None:
        return None
    try:
        return ClassTree.from_json(json.loads(text), [one.name for one in classes])
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{shown(path)}: the tree of its classes cannot be read: {error}"
        ) from error


def common_classes(
    predictions: Iterable[Path], given: Sequence[ClassLabel]
) -> tuple[ClassLabel, ...]:
    """Return the classes of all predictions, in the order of their numbers.

    Classes that are given take the place of those in the file: by name where the names agree, else
    in their order.

    Raises:
        ConfigError: files differ in their classes, or say nothing and nothing is given.
    """
    found: dict[tuple[str, ...], tuple[Path, tuple[ClassLabel, ...]]] = {}
    for path in predictions:
        try:
            with open_classes(path) as raster:
                found.setdefault(tuple(one.name for one in raster.classes), (path, raster.classes))
        except GeohierError:
            continue  # it is named among the failures when it is its turn
    if not found:
        return tuple(given)
    if len(found) > 1:
        lines = [
            f"{shown(path)} has {' '.join(names) or 'none'}" for names, (path, _) in found.items()
        ]
        raise ConfigError(f"predictions differ in their classes: {'; '.join(lines)}")
    ((path, declared),) = found.values()
    if not declared and not given:
        raise ConfigError(
            f"{shown(path)} does not say which classes its numbers mean: name them in order with "
            "--classes, such as --classes ground=0,building=1"
        )
    return _merged(path, declared, given)


def common_tree(predictions: Iterable[Path], classes: Sequence[str]) -> ClassTree | None:
    """Return the tree of these classes that predictions name, if they do.

    Raises:
        ConfigError: predictions name different trees.
    """
    found: dict[ClassTree, Path] = {}
    for path in predictions:
        try:
            with open_classes(path) as raster:
                tree = raster.tree
        except GeohierError:
            continue  # it is named among the failures when it is its turn
        tree = None if tree is None else tree.reordered(classes)
        if tree is not None:
            found.setdefault(tree, path)
    if len(found) > 1:
        names = " and ".join(shown(path) for path in found.values())
        raise ConfigError(f"{names} have different trees of classes: score them apart")
    return next(iter(found), None)


def _merged(
    path: Path, declared: tuple[ClassLabel, ...], given: Sequence[ClassLabel]
) -> tuple[ClassLabel, ...]:
    if not given or not declared:
        return tuple(given) or declared
    if len(given) != len(declared):
        raise ConfigError(
            f"{shown(path)} has {len(declared)} classes ({' '.join(c.name for c in declared)}), "
            f"--classes names {len(given)}: name each of them"
        )
    by_name = {one.name: one for one in given}
    if by_name.keys() == {one.name for one in declared}:
        return tuple(by_name[one.name] for one in declared)
    return tuple(given)
