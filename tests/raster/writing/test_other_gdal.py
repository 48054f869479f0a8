"""Results are opened by other builds of GDAL than the one that wrote them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from pyogrio_gdal import seen_by_pyogrio

from geohier.raster.layers import confidence_layer, labels_layer, probabilities_layer

CLASSES = ["land", "water", "road"]


@pytest.mark.parametrize("crs", ["EPSG:32631", "EPSG:4326", "EPSG:3857", None])
@pytest.mark.parametrize("classes", [3, 300])
def test_a_result_is_the_same_to_the_gdal_of_pyogrio(
    crs: str | None, classes: int, make_job: Callable, tmp_path: Path
) -> None:
    labels = labels_layer([f"class {number}" for number in range(classes)])
    layers = (labels, confidence_layer(), probabilities_layer(CLASSES))
    job = make_job(layers=layers, crs=crs, transform=Affine(0.5, 0, 7, 0, -0.25, 48))
    outputs = job.run(tmp_path / "map.tif").outputs
    for layer in layers:
        seen = seen_by_pyogrio(outputs[layer.name])
        np.testing.assert_array_equal(seen.values, job.values(layer))
        assert (seen.transform, seen.nodata) == (job.transform, layer.nodata)
        with rasterio.open(outputs[layer.name]) as file:
            assert (rasterio.CRS.from_wkt(seen.wkt) if seen.wkt else None) == file.crs
