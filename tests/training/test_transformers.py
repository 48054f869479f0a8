"""Training and mapping with transformers, whose answers depend on the whole tile."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
import torchgeo.models
from roof_scenes import MakeConfig
from safetensors.torch import load_file

from geohier import predict_raster
from geohier.models.directory import load_model
from geohier.models.torchgeo_encoders import Dofa, ScaleMae
from geohier.training.fit import train
from geohier.training.pretrain import pretrain


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


@pytest.fixture
def small_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """Encoders of torchgeo in tiny."""

    def build(name: str, bands: int, depth: int, drop_path: float) -> Dofa | ScaleMae:
        size = {"embed_dim": 32, "depth": 1, "num_heads": 2, "num_classes": 0}
        if name.startswith("dofa"):
            return Dofa(torchgeo.models.DOFA(global_pool=False, **size), bands, depth)
        body = torchgeo.models.ScaleMAE(
            in_chans=bands, global_pool="", dynamic_img_size=True, **size
        )
        return ScaleMae(body, bands, depth)

    monkeypatch.setattr("geohier.models.torchgeo_encoders.build", build)


@pytest.mark.usefixtures("small_ones")
def test_what_an_encoder_was_told_of_its_sensor_is_in_all_that_is_made_of_it(
    make_config: MakeConfig, tmp_path: Path
) -> None:
    dofa = make_config(
        model={"encoder": "torchgeo/dofa_small_patch16_224", "wavelengths_um": [0.5, 0.8]},
        training={"epochs": 1},
    )
    network = load_model(train(dofa, tmp_path / "run", quiet=True)).module
    assert network.encoder.wavelengths_um.tolist() == pytest.approx([0.5, 0.8])
    tensors = load_file(pretrain(dofa, tmp_path / "pretrained", quiet=True))
    assert tensors["encoder.wavelengths_um"].tolist() == pytest.approx([0.5, 0.8])
    scale_mae = make_config(
        model={"encoder": "torchgeo/scalemae_small_patch16"}, training={"epochs": 1}
    )
    loaded = load_model(train(scale_mae, tmp_path / "other", quiet=True))
    assert loaded.module.encoder.gsd_m.item() == pytest.approx(loaded.card.gsd_m[0], rel=1e-3)
