"""From a map of middles to the objects themselves, as points with a class and a score."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from geohier.evaluation.peaks import (
    CUT_OFF,
    first_of_equals,
    peaks_in,
    smoothed,
    within_pixels,
)
from geohier.geo.window import Window
from geohier.inference.middles import objects_of
from geohier.models.card import ModelCard, PointRule
from geohier.raster.access import open_dataset, raster_io
from geohier.raster.grid import grid_of
from geohier.raster.layers import MIDDLES, NODATA, STEPS

WINDOW_PX = 2048
"""Side of the windows in which peaks are sought."""

type Floats = NDArray[np.floating]
type Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Objects:
    """Objects of a raster, by class and from the top of it.

    Args:
        at: rows and columns `(N, 2)` of their middles, from the corner of the raster's first pixel.
        classes: indexes of their classes, `(N,)`.
        scores: `(N,)`, from 0 to 1.
        grid: the raster's.
    """

    at: Floats
    classes: Ints
    scores: Floats
    grid: GeoBox

    def __len__(self) -> int:
        return len(self.scores)

    def table(self, card: ModelCard, scene: str) -> Any:  # noqa: ANN401 - geopandas is untyped
        """Return a GeoDataFrame of points in the CRS of the raster."""
        import geopandas

        a, b, c, d, e, f, *_ = self.grid.affine
        x, y = (self.at[:, ::-1] @ [[a, d], [b, e]] + [c, f]).T
        names = [card.classes[at].name for at in self.classes]
        return geopandas.GeoDataFrame(
            {
                "class_id": self.classes.astype(np.int32),
                "class_name": np.array(names, dtype=object),
                "score": np.round(self.scores, 4),
                "scene": np.full(len(self), scene, dtype=object),
            },
            geometry=geopandas.points_from_xy(x, y),
            crs=None if self.grid.crs is None else self.grid.crs.to_wkt(),
        )


def middles_path(target: Path) -> Path:
    """Return where the raster lies that objects are read off: beside them.

    Example:
        >>> middles_path(Path("out/trees.gpkg")).name
        'trees_middles.tif'
    """
    return target.with_name(f"{target.stem}_{MIDDLES}.tif")


def find_objects(
    raster: Path, card: ModelCard, thresholds: Mapping[str, float] | None = None
) -> Objects:
    """Return the objects of a map of middles: peaks that reach the threshold of their class.

    The map is read in windows that overlap by as far as peaks have a say in each other, so that
    what is found does not depend on them. A place within a pixel is that of the top of a parabola.

    Args:
        raster: the map, one band per class of objects.
        card: of the model that made it.
        thresholds: scores by the name of a class, in place of the card's.

    Raises:
        InputError: the map cannot be read.
    """
    rule = card.points
    assert rule is not None
    least = {**rule.thresholds, **(thresholds or {})}
    found = []
    with open_dataset(raster) as dataset:
        grid = grid_of(dataset)
        for band, number in enumerate(objects_of(card), start=1):
            threshold = least[card.classes[number].name]
            one = [
                part
                for core in _windows(*dataset.shape)
                for part in [_in_window(dataset, raster, band, core, rule, threshold)]
            ]
            at, places, scores = (np.concatenate(part) for part in zip(*one, strict=True))
            kept = _kept(at, rule.apart_px)
            found.append((places[kept], np.full(len(kept), number), scores[kept]))
    at, classes, scores = (np.concatenate(part) for part in zip(*found, strict=True))
    return Objects(at, classes, scores, grid)


def _windows(height: int, width: int) -> Iterator[Window]:
    for top in range(0, height, WINDOW_PX):
        for left in range(0, width, WINDOW_PX):
            yield Window(
                row_off=top,
                col_off=left,
                height=min(WINDOW_PX, height - top),
                width=min(WINDOW_PX, width - left),
            )


def _in_window(
    dataset: rasterio.DatasetReader,
    path: Path,
    band: int,
    core: Window,
    rule: PointRule,
    threshold: float,
) -> tuple[Ints, Floats, Floats]:
    """Return pixels, places and scores of the peaks in a window."""
    beyond = int(np.ceil(rule.apart_px) + np.ceil(CUT_OFF * rule.smooth_px)) + 2
    height, width = dataset.shape
    window = core.grown(rows=beyond, cols=beyond).clipped(height=height, width=width)
    rows, columns = window.slices
    with raster_io(path, window=window):
        steps = dataset.read(band, window=((rows.start, rows.stop), (columns.start, columns.stop)))
    scores = np.where(steps == NODATA["uint8"], np.nan, steps.astype(np.float32) / STEPS)
    soft = smoothed(scores, rule.smooth_px)
    peaks = peaks_in(soft, rule.apart_px, threshold)
    corner = np.array([window.row_off, window.col_off])
    own = np.array([core.row_off, core.col_off])
    end = own + np.array([core.height, core.width])
    peaks = peaks[((peaks + corner >= own) & (peaks + corner < end)).all(axis=1)]
    places = peaks + corner + 0.5 + within_pixels(soft, peaks)
    return peaks + corner, places, soft[peaks[:, 0], peaks[:, 1]]


def _kept(at: Ints, apart_px: float) -> Ints:
    """Return which peaks stay, from the top, where those that are near and equal are one."""
    order = np.lexsort((at[:, 1], at[:, 0]))
    first = {tuple(one) for one in first_of_equals(at, apart_px).tolist()}
    return np.array([one for one in order if tuple(at[one].tolist()) in first], np.int64)
