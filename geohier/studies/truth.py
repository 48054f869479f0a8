"""Labels laid over a prediction, as the numbers of its classes."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from geohier.data import label_rules
from geohier.data.label_source import LabelSource, open_labels
from geohier.geo.window import Window
from geohier.raster.files import shown
from geohier.raster.outlines import is_vector
from geohier.studies.legend import LabelRules, Legend


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """Labels on the grid of a prediction.

    Args:
        source: label values.
        path: their file.
        legend: which label values mean which class.
    """

    source: LabelSource
    path: Path
    legend: Legend

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know about how the labels were laid over the prediction."""
        return self.source.notes

    def read(self, window: Window) -> NDArray[np.int32]:
        """Return the true class of each pixel of a window inside the grid, or `UNLABELLED`.

        Raises:
            LabelError: a label stands for no class.
        """
        return self.legend.to_classes(self.source.read(window), shown(self.path))


@contextmanager
def open_truth(path: Path, grid: GeoBox, legend: Legend, rules: LabelRules) -> Iterator[Truth]:
    """Open labels for a prediction on `grid`.

    Args:
        path: a raster of label values, or a vector file of polygons or points in any CRS.
        grid: grid of the prediction.
        legend: which label values, or names of classes, stand for which class.
        rules: how the labels are to be understood.

    Raises:
        LabelError: the labels cannot be laid over the grid, or stand for no class.
        InputError: the file cannot be read.
        ConfigError: the rules do not fit the file.
    """
    with open_labels(path, grid, _rules_on_disk(path, legend, rules)) as source:
        yield Truth(source=source, path=path, legend=legend)


def _rules_on_disk(path: Path, legend: Legend, rules: LabelRules) -> label_rules.LabelRules:
    names = legend.names
    outside = rules.outside
    if outside is None and rules.complete and rules.attribute is None and is_vector(path):
        outside = names[0]
    return label_rules.LabelRules(
        classes={
            one.name: one.label_values or (number,) for number, one in enumerate(legend.classes)
        },
        attribute=rules.attribute,
        alone=names[1] if len(names) == 2 else None,
        outside=outside,
        point_radius_m=rules.point_radius_m,
        areas=rules.areas,
    )
