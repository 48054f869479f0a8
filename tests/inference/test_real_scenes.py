"""Maps of real scenes lie where the scenes lie, whoever opens them."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from pyogrio_gdal import seen_by_pyogrio
from rio_cogeo import cog_validate
from small_models import CLASSES, COLOURS

from geohier.geo.bands import Band, BandSet
from geohier.inference.options import PredictOptions
from geohier.inference.pipeline import predict_raster
from geohier.models.card import ModelCard

SCENES = ("banepa_a", "banepa_b", "banepa_c", "kampala_b", "zanzibar_a", "zanzibar_b")


@pytest.mark.slow
@pytest.mark.shared
@pytest.mark.parametrize("name", SCENES)
def test_the_map_of_a_drone_image_opens_everywhere_on_the_image_s_own_grid(
    name: str, shared_data: Path, tmp_path: Path
) -> None:
    scene = shared_data / "hot_buildings" / "images" / f"{name}.tif"
    bands = (Band(name=name, dtype="uint8", mean=0, std=1) for name in COLOURS)
    card = ModelCard(bands=BandSet(tuple(bands)), classes=CLASSES)
    options = PredictOptions(device="cpu", precision="fp32")

    predict_raster(scene, tmp_path / "map.tif", torch.nn.Identity(), card=card, options=options)

    assert cog_validate(str(tmp_path / "map.tif"), strict=True) == (True, [], [])
    seen = seen_by_pyogrio(tmp_path / "map.tif")
    with rasterio.open(scene) as image, rasterio.open(tmp_path / "map.tif") as drawn:
        place = (image.crs, image.transform, image.shape)
        assert (drawn.crs, drawn.transform, drawn.shape) == place
        assert (rasterio.CRS.from_wkt(seen.wkt), seen.transform, seen.values.shape[1:]) == place
        np.testing.assert_array_equal(seen.values, drawn.read())
