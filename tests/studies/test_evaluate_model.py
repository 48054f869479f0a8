"""A model scored on the scenes of a config."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from torch import Tensor, nn

from geohier.config.schema import TrainConfig
from geohier.errors import ConfigError, InputError
from geohier.evaluation.segmentation import ConfusionMatrix
from geohier.geo.bands import Band, BandSet
from geohier.inference.options import PredictOptions
from geohier.models.card import ClassLabel, ModelCard
from geohier.models.directory import LoadedModel
from geohier.studies.evaluate_model import evaluate_model

Write = Callable[..., Path]


class Brighter(nn.Module):
    """Building where the band is above 100."""

    def forward(self, pixels: Tensor) -> Tensor:
        return torch.cat([100 - pixels, pixels - 100], dim=1)


def model(*names: str) -> LoadedModel:
    card = ModelCard(
        bands=BandSet((Band(name="gray", dtype="uint8", mean=0, std=1),)),
        classes=tuple(ClassLabel(name=name, color="#102030") for name in names),
    )
    config = TrainConfig.model_validate(
        {"data": {"classes": {0: "ground", 255: "building"}, "ignore": None}}
    )
    return LoadedModel(module=Brighter(), card=card, config=config, sha256="0" * 64)


@pytest.fixture
def config(write_scene: Write, tmp_path: Path) -> TrainConfig:
    """A train scene, a val scene of which the right half is not val, and one that is damaged."""
    rng = np.random.default_rng(0)
    for name in ("fit", "judge"):
        image = rng.integers(0, 200, size=(1, 60, 80), dtype="uint8")
        mask = np.where(image > 120, 255, 0).astype("uint8")
        write_scene(image, f"{name}.tif")
        write_scene(mask, f"{name}_mask.tif")
    (tmp_path / "broken.tif").write_bytes((tmp_path / "judge.tif").read_bytes()[:100])
    (tmp_path / "split.csv").write_text(
        "scene,split,image,mask,windows\n"
        "fit,train,fit.tif,fit_mask.tif,\n"
        "judge,val,judge.tif,judge_mask.tif,0 0 60 40\n"
        "broken,val,broken.tif,judge_mask.tif,\n"
    )
    classes = {"ground": 0, "building": 255}
    return TrainConfig.model_validate(
        {"data": {"root": str(tmp_path), "classes": classes, "ignore": None}}
    )


def test_a_model_is_scored_on_the_part_that_is_val(config: TrainConfig, tmp_path: Path) -> None:
    out = tmp_path / "predictions"
    result = evaluate_model(
        model("ground", "building"),
        config,
        "val",
        out=out,
        options=PredictOptions(device="cpu", precision="fp32", size=64, overlap=16),
        pictures=tmp_path / "pictures",
    )
    with rasterio.open(tmp_path / "judge.tif") as image:
        values = image.read(1)[:, :40]
    expected = ConfusionMatrix.of(values > 100, (values > 120).astype(int), classes=2)
    assert result.scores.pooled_confusion.values.tolist() == expected.counts.tolist()
    assert result.scores.scene.values.tolist() == ["judge"]
    assert list(result.failures) == ["broken"]
    assert (out / "judge.tif").exists()
    assert (tmp_path / "pictures" / "judge.png").stat().st_size > 10_000


def test_classes_follow_their_names_and_not_their_order(
    config: TrainConfig,
) -> None:
    """The model's first class is building; its label value comes from the config."""
    options = PredictOptions(device="cpu", precision="fp32", size=64, overlap=16)
    swapped = evaluate_model(model("building", "ground"), config, "train", options=options)
    straight = evaluate_model(model("ground", "building"), config, "train", options=options)
    assert swapped.scores.pooled_accuracy.item() < 0.2 < straight.scores.pooled_accuracy.item()


def test_a_model_of_other_classes_is_refused(config: TrainConfig) -> None:
    with pytest.raises(ConfigError, match="the model's classes are land water, the config's"):
        evaluate_model(model("land", "water"), config)


def test_a_split_without_scenes_is_refused(config: TrainConfig) -> None:
    (config.data.root / "split.csv").write_text(
        "scene,split,image,mask\nfit,train,fit.tif,fit_mask.tif\n"
    )
    with pytest.raises(InputError, match="no scene in the split val"):
        evaluate_model(model("ground", "building"), config, "val")
