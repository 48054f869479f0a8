from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine

from geohier.errors import InputError, RasterReadError
from geohier.raster.cube import open_result
from geohier.raster.layers import confidence_layer, labels_layer, probabilities_layer

CLASSES = ["land", "water", "road"]


def test_a_result_opens_with_classes_colours_place_and_all_its_layers(
    make_job: Callable, tmp_path: Path
) -> None:
    labels = labels_layer(CLASSES, ["#102030", None, None])
    job = make_job(layers=(labels, confidence_layer(), probabilities_layer(CLASSES)))
    job.run(tmp_path / "map.tif")

    with open_result(tmp_path / "map.tif") as result:
        assert set(result.data_vars) == {"labels", "confidence", "probabilities"}
        assert result.rio.crs == "EPSG:32631"
        assert result.attrs["class_names"] == CLASSES
        assert result.attrs["class_colors"] == list(labels.class_colors or ())
        assert result.attrs["model"] == "a"
        np.testing.assert_array_equal(result.labels, job.values(labels)[0])
        assert (result.labels.dtype, result.labels.attrs["_FillValue"]) == (np.uint8, 255)
        assert (float(result.x[0]), float(result.y[0])) == (500_005, 4_999_995)


def test_fractions_are_decoded_and_nodata_is_nan(make_job: Callable, tmp_path: Path) -> None:
    layers = (labels_layer(CLASSES), confidence_layer(), probabilities_layer(CLASSES))
    job = make_job(layers=layers)
    job.run(tmp_path / "map.tif")

    with open_result(tmp_path / "map.tif") as result:
        water = job.values(layers[2])[1].astype(float)
        found = result.probabilities.sel({"class": "water"}).values
        np.testing.assert_allclose(found[20:], water[20:] / 250, rtol=1e-6)
        assert np.isnan(found[:20, :12]).all()
        assert float(result.confidence.max()) <= 1
        assert int(np.isnan(result.confidence).sum()) == 20 * 12


def test_pixels_are_read_when_they_are_used(make_job: Callable, tmp_path: Path) -> None:
    make_job().run(tmp_path / "map.tif")

    with open_result(tmp_path / "map.tif") as result:
        cut = result.labels[:3, :4]
        assert not result.labels.variable._in_memory
        assert cut.values.shape == (3, 4)
        assert not result.labels.variable._in_memory


@pytest.mark.parametrize(
    "transform", [Affine.identity(), Affine.rotation(20) @ Affine.scale(2, -2)]
)
def test_a_result_without_crs_or_turned_opens_too(
    make_job: Callable, tmp_path: Path, transform: Affine
) -> None:
    job = make_job(transform=transform, crs=None)
    job.run(tmp_path / "map.tif")

    with open_result(str(tmp_path / "map.tif")) as result:
        np.testing.assert_array_equal(result.labels, job.values(job.layers[0])[0])


def test_what_is_no_result_is_said_so(make_job: Callable, tmp_path: Path) -> None:
    make_job().run(tmp_path / "map.tif")
    (tmp_path / "text.tif").write_text("no raster")
    profile = {"width": 2, "height": 2, "count": 1, "dtype": "uint8"}
    place = {"crs": "EPSG:32631", "transform": Affine(1, 0, 5, 0, -1, 5)}
    with rasterio.open(tmp_path / "plain.tif", "w", driver="GTiff", **profile, **place) as file:
        file.write(np.zeros((1, 2, 2), np.uint8))

    for name in ("plain.tif", "map_confidence.tif"):
        with pytest.raises(InputError, match="no class labels of geohier"):
            open_result(tmp_path / name)
    for name in ("text.tif", "missing.tif"):
        with pytest.raises(RasterReadError, match=f"{name} cannot be read"):
            open_result(tmp_path / name)


def test_a_layer_on_another_grid_is_refused(make_job: Callable, tmp_path: Path) -> None:
    make_job().run(tmp_path / "map.tif")
    other = make_job(transform=Affine(10, 0, 0, 0, -10, 0)).run(tmp_path / "other.tif")
    (tmp_path / "map_confidence.tif").write_bytes(other.outputs["confidence"].read_bytes())

    with pytest.raises(InputError, match="not on the grid of the labels"):
        open_result(tmp_path / "map.tif")
