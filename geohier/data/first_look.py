"""What training would stumble over, found by opening every scene once and counting its labels."""

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from geohier.config.schema import DataConfig
from geohier.data.catalog import Catalog, LabelledScene
from geohier.data.class_gaps import class_gaps
from geohier.data.label_rules import LabelRules
from geohier.data.labelled import LabelledPixels
from geohier.data.labels import IGNORE_INDEX, LabelTable
from geohier.data.scene_bands import choose_bands, find_bands
from geohier.data.strips import labelled_strips
from geohier.data.units import check_units
from geohier.raster.source import SourceBand


def first_look(catalog: Catalog, data: DataConfig) -> tuple[str, ...]:
    """Open all scenes as training does, and return what a user should look at.

    Raises:
        InputError: a scene lacks a band, or has other units than the first.
        LabelError: labels do not fit their image.
    """
    names, declared = choose_bands(catalog.train[0], data.bands)
    table, rules = LabelTable(data.classes, data.ignored), LabelRules.of(data)
    notes: list[str] = []
    pixels = {split: np.zeros(len(data.classes), np.int64) for split in ("train", "val")}
    for scene in catalog.scenes:
        one = _opened(scene, names, declared, table, rules)
        notes += one.notes
        pixels[scene.split] += _by_class(one, len(data.classes))
        one.close()
    return (*_odd_classes(pixels, data), *dict.fromkeys(notes))


def _opened(
    scene: LabelledScene,
    names: tuple[str, ...],
    declared: tuple[SourceBand, ...],
    table: LabelTable,
    rules: LabelRules,
) -> LabelledPixels:
    one = LabelledPixels(scene, find_bands(scene, names, declared, dates=None), table, rules)
    check_units(one, names, declared)
    return one


def _by_class(one: LabelledPixels, classes: int) -> NDArray[np.int64]:
    """Count the labelled pixels of each class in the part of a scene that is in its split."""
    total = np.zeros(IGNORE_INDEX + 1, np.int64)
    for strip in labelled_strips(one):
        total += np.bincount(one.read(strip).labels.ravel(), minlength=IGNORE_INDEX + 1)
    return total[:classes]


def _odd_classes(pixels: Mapping[str, NDArray[np.int64]], data: DataConfig) -> Iterable[str]:
    """Say which classes train or val lacks."""
    if not pixels["val"].any():
        yield "no scene of val has labelled pixels: nothing will judge the model"
    names = [one.name for one in data.classes]
    counts = (dict(zip(names, pixels[split].tolist(), strict=True)) for split in ("train", "val"))
    yield from (gap.text for gap in class_gaps(*counts))
