"""Labels laid over a prediction: rasters on any grid and polygons, read window by window."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio.enums import Resampling
from rasterio.vrt import WarpedVRT
from shapely.geometry import Polygon

from geohier.errors import ConfigError, LabelError
from geohier.geo.window import Window
from geohier.raster.access import open_dataset, raster_io
from geohier.raster.files import shown
from geohier.raster.outlines import is_vector, read_features
from geohier.studies.legend import UNLABELLED, LabelRules, Legend

SAME_GRID_PX = 0.01
"""Corners of two grids that differ by less are taken for the same."""


class Truth(Protocol):
    """Labels on the grid of a prediction."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know about how the labels were laid over the prediction."""

    def read(self, window: Window) -> NDArray[np.int32]:
        """Return the true class of each pixel of a window inside the grid, or `UNLABELLED`.

        Raises:
            LabelError: a label stands for no class.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class RasterTruth:
    """A label raster, on the prediction's own grid or brought to it."""

    dataset: rasterio.DatasetReader | WarpedVRT
    path: Path
    legend: Legend
    nodata: float | None
    notes: tuple[str, ...]

    def read(self, window: Window) -> NDArray[np.int32]:
        """Return the true class of each pixel of a window."""
        rows, columns = window.slices
        with raster_io(self.path, window=window):
            labels = self.dataset.read(
                1, window=((rows.start, rows.stop), (columns.start, columns.stop))
            )
        if self.nodata is not None:
            labels = np.where(labels == self.nodata, np.nan, labels)
        return self.legend.to_classes(labels, shown(self.path))


@dataclass(frozen=True, slots=True, kw_only=True)
class PolygonTruth:
    """Polygons in the prediction's CRS; a pixel has the class of the last one over its centre."""

    grid: GeoBox
    frame: Any
    classes: NDArray[np.int32]
    outside: int
    notes: tuple[str, ...]

    def read(self, window: Window) -> NDArray[np.int32]:
        """Return the true class of each pixel of a window."""
        from rasterio.features import rasterize

        place = self.grid.transform @ Affine.translation(window.col_off, window.row_off)
        corners = [(0, 0), (window.width, 0), (window.width, window.height), (0, window.height)]
        outline = Polygon([place @ corner for corner in corners])
        near = np.sort(self.frame.sindex.query(outline, predicate="intersects"))
        shape = (window.height, window.width)
        if near.size == 0:
            return np.full(shape, self.outside, np.int32)
        burnt = rasterize(
            zip(self.frame.geometry.values[near], self.classes[near].tolist(), strict=True),
            out_shape=shape,
            transform=place,
            fill=self.outside,
            dtype="int32",
        )
        return np.asarray(burnt, np.int32)


@contextmanager
def open_truth(path: Path, grid: GeoBox, legend: Legend, rules: LabelRules) -> Iterator[Truth]:
    """Open labels for a prediction on `grid`.

    Args:
        path: a raster of label values, or a vector file of polygons in any CRS.
        grid: grid of the prediction.
        legend: which label values, or names of classes, stand for which class.
        rules: how polygons are to be understood.

    Raises:
        LabelError: the labels cannot be laid over the grid, or stand for no class.
        InputError: the file cannot be read.
        ConfigError: the rules do not fit the file.
    """
    if is_vector(path):
        yield _polygons(path, grid, legend, rules)
        return
    if rules.attribute is not None or rules.outside is not None:
        raise ConfigError(f"{shown(path)} is a raster: --attribute and --outside are for polygons")
    with open_dataset(path) as labels, _on_grid(labels, path, grid, legend) as truth:
        yield truth


@contextmanager
def _on_grid(
    labels: rasterio.DatasetReader, path: Path, grid: GeoBox, legend: Legend
) -> Iterator[RasterTruth]:
    if labels.count != 1:
        raise LabelError(f"{shown(path)} has {labels.count} bands: labels are one band of classes")
    nodata, notes = _nodata(labels, legend)
    if _is_same_grid(labels, grid):
        if labels.crs is None and grid.crs is not None:
            notes += (f"{shown(path)} has no CRS; its size fits, so pixels were paired one to one",)
        yield RasterTruth(dataset=labels, path=path, legend=legend, nodata=nodata, notes=notes)
        return
    if labels.crs is None or grid.crs is None:
        raise LabelError(
            f"{shown(path)} is {labels.height} x {labels.width} px, the prediction "
            f"{grid.height} x {grid.width} px, and one has no CRS: labels need its size or a CRS"
        )
    notes += (f"{shown(path)} is on another grid: each pixel takes the nearest label",)
    with raster_io(path), _warped(labels, grid, nodata) as warped:
        yield RasterTruth(dataset=warped, path=path, legend=legend, nodata=None, notes=notes)


def _warped(labels: rasterio.DatasetReader, grid: GeoBox, nodata: float | None) -> WarpedVRT:
    """Return labels on another grid, in float64 with NaN where there are none."""
    # Without a nodata of its own, GDAL would fill the ground beyond the labels with class 0, or
    # with one that it declares although a class has it.
    return WarpedVRT(
        labels,
        crs=None if grid.crs is None else grid.crs.to_wkt(),
        transform=grid.transform,
        height=grid.height,
        width=grid.width,
        resampling=Resampling.nearest,
        tolerance=0.01,
        src_nodata=nodata,  # None: not even the one that the file declares
        nodata=np.nan,
        dtype="float64",
    )


def _nodata(labels: rasterio.DatasetReader, legend: Legend) -> tuple[float | None, tuple[str, ...]]:
    """Return the declared nodata, unless it is the label of a class: then the class counts."""
    named = {value for value, _ in legend.pairs()}
    if labels.nodata not in named:
        return labels.nodata, ()
    note = (
        f"{shown(labels.name)} declares {labels.nodata:g} as nodata, which is also a class: scored"
    )
    return None, (note,)


def _is_same_grid(labels: rasterio.DatasetReader, grid: GeoBox) -> bool:
    if labels.shape != tuple(grid.shape):
        return False
    if labels.crs is None:
        return True
    if grid.crs is None or labels.crs != rasterio.CRS.from_wkt(grid.crs.to_wkt()):
        return False
    onto = ~grid.transform @ labels.transform
    corners = [(0.0, 0.0), (0.0, grid.height), (grid.width, 0.0), (grid.width, grid.height)]
    apart = [max(abs(x - a), abs(y - b)) for x, y in corners for a, b in [onto @ (x, y)]]
    return bool(max(apart) < SAME_GRID_PX)


def _polygons(path: Path, grid: GeoBox, legend: Legend, rules: LabelRules) -> PolygonTruth:
    if grid.crs is None:
        raise LabelError(f"{shown(path)}: the prediction has no CRS, so polygons cannot be placed")
    frame = read_features(path)
    frame = frame[frame.geom_type.isin(["Polygon", "MultiPolygon"])]
    if frame.empty:
        raise LabelError(f"{shown(path)} holds no polygons: labels are polygons or a raster")
    classes = _classes(frame, path, legend, rules.attribute)
    elsewhere = _outside(legend, rules)
    named = "unlabelled" if elsewhere == UNLABELLED else legend.classes[elsewhere].name
    return PolygonTruth(
        grid=grid,
        frame=frame.to_crs(grid.crs.to_wkt()),
        classes=classes,
        outside=elsewhere,
        notes=(f"{shown(path)}: {len(frame)} polygons; the ground outside them is {named}",),
    )


def _classes(
    frame: Any,  # noqa: ANN401 - geopandas is untyped
    path: Path,
    legend: Legend,
    attribute: str | None,
) -> NDArray[np.int32]:
    """Return the class of each polygon."""
    if attribute is None:
        if len(legend.classes) != 2:
            raise ConfigError(
                f"{shown(path)}: there are {len(legend.classes)} classes: name the column that "
                "holds them with --attribute"
            )
        return np.ones(len(frame), np.int32)
    if attribute not in frame.columns:
        columns = [name for name in frame.columns if name != "geometry"]
        raise ConfigError(f"{shown(path)} has no column {attribute}: it has {' '.join(columns)}")
    values = frame[attribute]
    if values.dtype.kind in "iufb":
        return legend.to_classes(values.to_numpy(np.float64), shown(path))
    names = values.fillna("").astype(str).tolist()
    numbers = [legend.class_of_name(name) if name else UNLABELLED for name in names]
    if None in numbers:
        raise LabelError(
            f"{shown(path)}: {attribute} has {names[numbers.index(None)]!r}, but the classes are "
            f"{' '.join(one.name for one in legend.classes)}: name them so"
        )
    return np.array(numbers, np.int32)


def _outside(legend: Legend, rules: LabelRules) -> int:
    if rules.outside is None:
        return 0 if rules.attribute is None else UNLABELLED
    number = legend.class_of_name(rules.outside)
    if number is None:
        names = " ".join(legend.names)
        raise ConfigError(f"--outside {rules.outside} is no class: the classes are {names}")
    return number
