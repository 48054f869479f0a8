"""What early exits save and change, as the results page tells it."""

import json
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from bench_modules import bench_module
from PIL import Image
from torch import Tensor, nn

from geohier.config.schema import TrainConfig
from geohier.geo.bands import Band, BandSet
from geohier.models.card import ClassLabel, ModelCard
from geohier.models.directory import LoadedModel

Write = Callable[..., Path]


class Brighter(nn.Module):
    """Roof where the band is above 100, the surer the farther from it."""

    def forward(self, pixels: Tensor) -> Tensor:
        return torch.cat([100 - pixels, pixels - 100], dim=1) / 10


@pytest.fixture
def config(write_scene: Write, tmp_path: Path) -> TrainConfig:
    """A scene that is dark on the left and in turn dark and bright on the right."""
    image = np.zeros((1, 64, 128), "uint8")
    image[0, :, 64:] = 200 * (np.indices((64, 64)).sum(axis=0) % 2)
    write_scene(image, "image.tif")
    write_scene((image > 100).astype("uint8"), "mask.tif")
    (tmp_path / "split.csv").write_text(
        "scene,split,image,mask\na,train,image.tif,mask.tif\nb,val,image.tif,mask.tif\n"
    )
    return TrainConfig.model_validate(
        {"data": {"root": str(tmp_path), "classes": {"ground": 0, "roof": 1}}}
    )


@pytest.fixture
def model(config: TrainConfig) -> LoadedModel:
    card = ModelCard(
        bands=BandSet((Band(name="gray", dtype="uint8", mean=0, std=1),)),
        classes=tuple(ClassLabel(name=name, color="#102030") for name in ("ground", "roof")),
        margins_px={95: 2},
    )
    return LoadedModel(module=Brighter(), card=card, config=config, sha256="0" * 64)


@pytest.mark.slow
def test_what_exits_save_and_change_is_measured_told_and_drawn(
    config: TrainConfig, model: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with bench_module("render", monkeypatch) as render:
        bench = import_module("exits")
        tiles = {"size": 32, "overlap": 8, "device": "cpu", "precision": "fp32"}
        found = bench.measure(model, config, [(2,)], [0.99], **tiles)
        given = bench.read_arguments(
            ["toy", "--model", "/x/runs/toy/model", "--config", "toy.yaml", "--data-root", "/x"]
        )
        document = {
            "command": import_module("exits_table").command(given),
            "remark": "A toy.",
            "machine": dict.fromkeys(("processor", "memory", "gpu", "versions"), "some"),
            "found": found,
        }
        (tmp_path / "docs" / "results").mkdir(parents=True)
        (tmp_path / "docs" / "results" / "exits-toy.json").write_text(json.dumps(document))
        monkeypatch.setattr(render, "DOCS", tmp_path / "docs")
        render.main()
    control, sure = found["exits"]
    assert found["full"] == {"ground": 1.0, "roof": 1.0, "macro": 1.0}
    assert control["tiles"]["1"] == 0
    assert control["changed"] == pytest.approx(0.25), "what is in turn is as bright as the mean"
    assert control["iou"]["macro"] < 0.5
    assert 0 < sure["tiles"]["1"] < sum(sure["tiles"].values())
    assert sure["changed"] == 0
    assert sure["saved"] < control["saved"]
    page = (tmp_path / "docs" / "results.md").read_text()
    assert "## Early exits: toy" in page
    assert (
        "`python tests/bench/exits.py toy --model runs/toy/model --config configs/toy.yaml" in page
    )
    assert "| 1/2 | all leave | 100 % |" in page
    with Image.open(tmp_path / "docs" / "images" / "exits-toy.png") as picture:
        assert len(picture.convert("RGB").getcolors(10**6)) > 8
