"""The objects that vector labels hold, as points: the middles of their shapes."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geohier.data.label_features import LabelFeatures
from geohier.data.label_source import LabelSource
from geohier.data.labels import IGNORE_INDEX, LabelTable
from geohier.errors import LabelError
from geohier.raster.files import shown

type Middles = NDArray[np.float64]
"""Row, column and class index `(N, 3)` of each object, in pixels from a scene's top left corner."""


def middles_of(labels: LabelSource, table: LabelTable, path: Path) -> Middles:
    """Return the middle of each labelled object: the centroid of its feature.

    Args:
        labels: on the grid of a scene.
        table: turns label values into class indexes.
        path: their file.

    Raises:
        LabelError: the labels are a raster, which has no objects.
    """
    if not isinstance(labels, LabelFeatures):
        raise LabelError(
            f"{shown(path)} is a raster, and objects are points, boxes or polygons: geohier "
            "vectorize makes polygons of it"
        )
    classes, places = table.indexes(labels.values), labels.middles
    known = (classes != IGNORE_INDEX) & ~np.isnan(places).any(axis=1)
    middles: Middles = np.column_stack([places[:, ::-1], classes])[known]
    return middles
