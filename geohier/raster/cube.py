"""Results as labelled arrays, for notebooks."""

import json
import warnings
from pathlib import Path
from typing import Any

import rioxarray
import xarray as xr
from odc.geo.geobox import GeoBox
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from geohier.errors import InputError, RasterReadError
from geohier.raster.grid import same_grid
from geohier.raster.layers import CONTINUOUS, LABELS, layer_path
from geohier.raster.vrt import CLASSES_TAG, LAYER_TAG


def open_result(path: str | Path) -> xr.Dataset:
    """Open a result of geohier: its labels and whatever other layers lie beside them.

    Pixels are read when they are used: cut out what you need (`result.labels[:1000, :1000]`)
    before computing with a large result. An opened result reads the files that were there then.

    Args:
        path: file of the labels, such as `map.tif`.

    Returns:
        A dataset with `labels` and, where they exist, `confidence`, `entropy` and `probabilities`;
        coordinates of the pixels' centres (`x`, `y`), names along `class`, and the CRS
        (`result.rio.crs`). Labels are whole numbers with `_FillValue` where there is no answer;
        the others are fractions with NaN there. `attrs` holds `class_names`, `class_colors`
        (`#rrggbb`), and the file's tags.

    Shape:
        - labels, confidence, entropy: `(y, x)`
        - probabilities: `(class, y, x)`

    Raises:
        RasterReadError: a file cannot be read.
        InputError: the file is not a result of geohier, or a layer beside it is on another grid.
    """
    target = Path(path)
    labels = _open_layer(target, masked=False)
    attrs = dict(labels.attrs)
    if attrs.get(LAYER_TAG) != LABELS:
        raise InputError(f"{target} holds no class labels of geohier: name the labels of a result")
    classes = [entry for entry in json.loads(attrs.pop(CLASSES_TAG)) if not entry.get("nodata")]
    layers = {LABELS: _without_band_axis(labels)}
    for name in CONTINUOUS:
        beside = layer_path(target, name)
        if beside.exists():
            layers[name] = _open_beside(beside, name, labels, [entry["name"] for entry in classes])
    layers[LABELS].attrs = {"_FillValue": attrs.pop("_FillValue"), "long_name": "class"}
    for unwanted in ("scale_factor", "add_offset", "long_name", LAYER_TAG):
        attrs.pop(unwanted, None)
    attrs["class_names"] = [entry["name"] for entry in classes]
    attrs["class_colors"] = ["#" + entry["color_hint"].lower() for entry in classes]
    return xr.Dataset(layers, attrs=attrs)


def _open_beside(path: Path, name: str, labels: xr.DataArray, classes: list[str]) -> xr.DataArray:
    layer = _open_layer(path, masked=True)
    if not same_grid(_grid(layer), _grid(labels)):
        raise InputError(f"{path} is not on the grid of the labels beside it: remove or rename it")
    layer.attrs = {"long_name": name}
    if name != "probabilities":
        return _without_band_axis(layer)
    return layer.rename(band="class").assign_coords({"class": classes})


def _grid(layer: xr.DataArray) -> GeoBox:
    crs = layer.rio.crs
    return GeoBox(
        (layer.rio.height, layer.rio.width),
        layer.rio.transform(),
        None if crs is None else crs.to_wkt(),
    )


def _without_band_axis(layer: xr.DataArray) -> xr.DataArray:
    return layer.squeeze("band", drop=True)


def _open_layer(path: Path, *, masked: bool) -> xr.DataArray:
    options: dict[str, Any] = {"mask_and_scale": masked, "driver": "GTiff"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        warnings.simplefilter("ignore", PendingDeprecationWarning)  # affine's, about rioxarray
        try:
            layer = rioxarray.open_rasterio(path, **options)
        except (OSError, RasterioError) as error:
            raise RasterReadError(f"{path} cannot be read: {error}") from error
    if not isinstance(layer, xr.DataArray):
        raise InputError(f"{path} holds several rasters: name the labels of a result")
    return layer
