"""Training and mapping with transformers, whose answers depend on the whole tile."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
import torchgeo.models
from broken_runs import broken_off
from roof_scenes import MakeConfig
from safetensors.torch import load_file

from geohier import predict_raster
from geohier.errors import ConfigError
from geohier.models.directory import load_model
from geohier.models.manifest import SUMS
from geohier.models.torchgeo_encoders import Dofa, ScaleMae
from geohier.training.fit import train
from geohier.training.pretrain import pretrain
from geohier.training.task import SegmentationTask


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


def test_adapters_are_merged_into_the_encoder_that_is_stored(
    make_config: MakeConfig, tmp_path: Path
) -> None:
    """Nothing of them is left but a change of a low rank in the layers of attention."""
    one = {"model": {"encoder": "test_vit"}, "training": {"epochs": 1}}
    frozen = make_config(fine_tuning={"frozen_epochs": None}, **one)
    adapted = make_config(fine_tuning={"lora_rank": 2}, **one)
    before = load_model(train(frozen, tmp_path / "frozen", quiet=True)).module.state_dict()
    after = load_model(train(adapted, tmp_path / "adapted", quiet=True)).module.state_dict()
    changes = {
        name: after[name] - value
        for name, value in before.items()
        if name.startswith("encoder.model.") and not torch.equal(after[name], value)
    }
    assert changes
    for name, change in changes.items():
        assert ".attn." in name
        assert int(torch.linalg.matrix_rank(change, rtol=1e-3)) <= 2


def test_adapters_of_a_network_without_attention_are_refused_before_anything_is_written(
    make_config: MakeConfig, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="no attention to adapt"):
        train(make_config(fine_tuning={"lora_rank": 2}), tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


def test_a_training_of_adapters_that_was_broken_off_goes_on_as_it_was(
    make_config: MakeConfig, tmp_path: Path
) -> None:
    config = make_config(
        model={"encoder": "test_vit"}, fine_tuning={"lora_rank": 2}, training={"epochs": 2}
    )
    whole = train(config, tmp_path / "whole", quiet=True)
    with broken_off(SegmentationTask, "before it is saved", epoch=1):
        train(config, tmp_path / "broken", quiet=True)
    resumed = train(config, tmp_path / "broken", resume=True, quiet=True)
    assert (resumed / SUMS).read_text() == (whole / SUMS).read_text()
