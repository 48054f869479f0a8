"""Predicting takes a module as it is and gives it back as it was."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from geohier.geo.bands import Band, BandSet
from geohier.inference.borrowing import borrowed
from geohier.inference.job import prepare
from geohier.inference.options import PredictOptions
from geohier.inference.pipeline import predict_raster
from geohier.inference.predictor import as_predictor
from geohier.inference.preview import preview
from geohier.models.card import ClassLabel, ModelCard
from geohier.models.directory import LoadedModel
from geohier.raster.reader import open_raster

WriteScene = Callable[..., Path]

CARD = ModelCard(
    bands=BandSet(tuple(Band(name=name, dtype="float32", mean=0, std=1) for name in "ab")),
    classes=tuple(ClassLabel(name=name, color="#000000") for name in "xyz"),
)
OPTIONS = PredictOptions(size=32, overlap=8, device="cpu", precision="fp32")


class Watched(nn.Module):
    """A small network, in several modes at once, that notes how it runs."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4))
        self.head = nn.Conv2d(4, 3, 3, padding=1)
        self.double_of_head = self.head
        self.features[1].eval()
        self.runs: list[tuple[bool, bool]] = []

    def forward(self, pixels: Tensor) -> Tensor:
        last = self.head.weight.is_contiguous(memory_format=torch.channels_last)
        self.runs.append((any(part.training for part in self.modules()), last))
        answer: Tensor = self.head(self.features(pixels))
        return answer


def state(module: nn.Module) -> list[object]:
    tensors = [*module.named_parameters(remove_duplicate=False), *module.named_buffers()]
    places = [(name, id(t), t.data_ptr(), t.stride(), t.device, t.dtype) for name, t in tensors]
    return [*places, *((name, part.training) for name, part in module.named_modules())]


@pytest.fixture
def scene(write_scene: WriteScene) -> Path:
    return write_scene(np.random.default_rng(0).normal(size=(2, 40, 50)).astype("float32"))


@pytest.mark.parametrize("loaded", [False, True])
def test_a_module_is_given_back_as_it_was(loaded: bool, scene: Path, tmp_path: Path) -> None:
    module = Watched()
    before = state(module)
    if loaded:
        model = LoadedModel(module=module, card=CARD, config=None, sha256="e" * 64)
        predict_raster(scene, tmp_path / "map.tif", model, options=OPTIONS)
    else:
        predict_raster(scene, tmp_path / "map.tif", module, card=CARD, options=OPTIONS)
    assert set(module.runs) == {(False, loaded)}
    assert state(module) == before


def test_a_module_that_is_only_timed_is_given_back_too(scene: Path) -> None:
    module = Watched()
    before = state(module)
    with open_raster(scene) as source:
        preview(prepare(source, as_predictor(module, CARD), OPTIONS))
    assert module.runs
    assert state(module) == before


def test_a_module_is_given_back_when_the_run_fails(scene: Path, tmp_path: Path) -> None:
    module = Watched()
    before = state(module)

    def stop(done: int, total: int) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        predict_raster(
            scene, tmp_path / "map.tif", module, card=CARD, options=OPTIONS, progress=stop
        )
    assert caught.traceback, "which holds the frames of the run alive"
    assert module.runs
    assert state(module) == before


def test_tensors_that_were_replaced_meanwhile_are_put_back() -> None:
    """As on devices whose tensors cannot stand in for each other."""
    module = Watched()
    before = state(module)
    with borrowed(module):
        module.eval().double()
        module.head.weight = nn.Parameter(torch.zeros(3, 4, 3, 3, device="meta"))
        assert state(module) != before
    assert state(module) == before
    assert module.double_of_head.weight is module.head.weight
