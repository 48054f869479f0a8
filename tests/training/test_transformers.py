"""Training and mapping with transformers, whose answers depend on the whole tile."""

from pathlib import Path

import numpy as np
import rasterio
from roof_scenes import MakeConfig

from geohier import predict_raster
from geohier.models.directory import load_model
from geohier.training.fit import train


def test_a_plain_transformer_is_trained_and_maps_a_scene_in_tiles_of_its_chips(
    make_config: MakeConfig, scenes: Path, tmp_path: Path
) -> None:
    config = make_config(model={"encoder": "test_vit"}, training={"epochs": 1})
    model = train(config, tmp_path / "run", quiet=True)
    card = load_model(model).card
    assert (card.stride, card.strides) == (32, (4, 8, 16, 32))
    assert card.tile_dependent
    (scene,) = (scenes / "val" / "images").iterdir()
    predict_raster(scene, tmp_path / "map.tif", model)
    with rasterio.open(scene) as source, rasterio.open(tmp_path / "map.tif") as labels:
        assert labels.shape == source.shape
        assert set(np.unique(labels.read(1))) <= {0, 1}
