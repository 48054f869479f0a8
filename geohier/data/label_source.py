"""Labels of one scene on its grid: rasters on any grid and vector files, read window by window.

What is read are label values, as the file has them; which class a value means is for others to say.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import rasterio
import shapely
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from pyproj import Transformer
from rasterio.enums import Resampling
from rasterio.vrt import WarpedVRT

from geohier.data.label_features import read_label_features
from geohier.data.label_rules import LabelRules
from geohier.errors import ConfigError, LabelError
from geohier.geo.window import Window
from geohier.raster.access import open_dataset, raster_io
from geohier.raster.files import shown
from geohier.raster.grid import grid_of, same_grid
from geohier.raster.outlines import is_vector


class LabelSource(Protocol):
    """Labels on the grid of a scene."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know about how the labels were laid over the grid."""

    def read(self, window: Window) -> NDArray[np.generic]:
        """Return the label value of each pixel of a window inside the grid, NaN where unlabelled.

        Shape:
            - values: `(H, W)`, of the file's data type where each of its values is a label
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class RasterLabels:
    """A label raster, on the scene's own grid or brought to it (a `LabelSource`)."""

    dataset: rasterio.DatasetReader | WarpedVRT
    path: Path
    nodata: float | None
    notes: tuple[str, ...]

    def read(self, window: Window) -> NDArray[np.generic]:
        """Return the label values of a window."""
        rows, columns = window.slices
        with raster_io(self.path, window=window):
            labels: NDArray[np.generic] = self.dataset.read(
                1, window=((rows.start, rows.stop), (columns.start, columns.stop))
            )
        return labels if self.nodata is None else np.where(labels == self.nodata, np.nan, labels)


@contextmanager
def open_labels(path: Path, grid: GeoBox, rules: LabelRules) -> Iterator[LabelSource]:
    """Open the labels of a scene.

    Args:
        path: a raster of label values on any grid, or a vector file in any CRS.
        grid: grid of the scene.
        rules: how the labels are to be understood.

    Raises:
        LabelError: the labels cannot be laid over the grid, or mean no class.
        InputError: the file cannot be read.
        ConfigError: the rules do not fit the file.
    """
    if is_vector(path):
        yield read_label_features(path, grid, rules)
        return
    if rules.are_for_features:
        raise ConfigError(
            f"{shown(path)} is a raster: attribute, outside, point radius and areas are for "
            "polygons and points"
        )
    # `with dataset` would enter a GDAL environment too, and leave it after ones that began later
    with closing(open_dataset(path)) as labels, _on_grid(labels, path, grid, rules) as source:
        yield source


@contextmanager
def _on_grid(
    labels: rasterio.DatasetReader, path: Path, grid: GeoBox, rules: LabelRules
) -> Iterator[RasterLabels]:
    if labels.count != 1:
        raise LabelError(
            f"{shown(path)} has {labels.count} bands: labels are one band of class values"
        )
    nodata, notes = _nodata(labels, rules)
    if _fits(labels, grid):
        if labels.crs is None and grid.crs is not None:
            notes += (f"{shown(path)} has no CRS; its size fits, so pixels were paired one to one",)
        yield RasterLabels(dataset=labels, path=path, nodata=nodata, notes=notes)
        return
    if labels.crs is None or grid.crs is None:
        raise LabelError(
            f"{shown(path)} is {labels.height} x {labels.width} px, what it labels "
            f"{grid.height} x {grid.width} px, and one has no CRS: labels need its size or a CRS"
        )
    covered = _share_covered(labels, grid)
    if covered == 0:
        raise LabelError(f"{shown(path)} lies outside the image: check its CRS and place")
    notes += (
        f"{shown(path)} is on another grid and covers {covered:.1%} of the image: each pixel takes "
        "the nearest label",
    )
    with raster_io(path):
        warped = _warped(labels, grid, nodata)
    with closing(warped):
        yield RasterLabels(dataset=warped, path=path, nodata=None, notes=notes)


def _share_covered(labels: rasterio.DatasetReader, grid: GeoBox) -> float:
    """Return how much of a grid lies under a raster, from 0 to 1."""
    assert grid.crs is not None
    outline = grid_of(labels).extent.geom
    onto = Transformer.from_crs(labels.crs.to_wkt(), grid.crs.to_wkt(), always_xy=True)
    footprint = shapely.transform(
        shapely.segmentize(outline, outline.length / 64),  # straight edges bend under a warp
        lambda xy: np.column_stack(onto.transform(*xy.T)),
    )
    image = grid.extent.geom
    return float(footprint.intersection(image).area / image.area)


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


def _nodata(
    labels: rasterio.DatasetReader, rules: LabelRules
) -> tuple[float | None, tuple[str, ...]]:
    """Return the declared nodata, unless it is the label of a class: then the class counts."""
    if not any(labels.nodata in values for values in rules.classes.values()):
        return labels.nodata, ()
    note = (
        f"{shown(labels.name)} declares {labels.nodata:g} as nodata, which is also a class: it "
        "counts as the class"
    )
    return None, (note,)


def _fits(labels: rasterio.DatasetReader, grid: GeoBox) -> bool:
    """Whether labels lie on the grid, or have its size and do not say where they lie."""
    if labels.crs is None:
        return bool(labels.shape == tuple(grid.shape))
    return same_grid(grid_of(labels), grid)
