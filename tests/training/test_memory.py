"""A memory on its way through a training: written, averaged, saved, resumed, taken over."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from broken_runs import broken_off
from lightning.pytorch import Callback, LightningModule, Trainer
from roof_scenes import MakeConfig
from torch import Tensor

from geohier.config.schema import TrainConfig
from geohier.errors import ModelError
from geohier.inference.pipeline import predict_raster
from geohier.layers.memory import memories
from geohier.models.directory import load_model
from geohier.training.checkpoint import best_weights
from geohier.training.fit import train
from geohier.training.task import SegmentationTask

HIERARCHY = {"decoder": "hierarchy", "hierarchy": {"memory": {"slots": 2}}}


def remembering(make_config: MakeConfig, **training: object) -> TrainConfig:
    return make_config(
        model={**HIERARCHY, "dropout": 0.2},
        chips={"per_epoch": 8},
        training={"epochs": 2, **training},
    )


def banks(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: one for name, one in weights.items() if name.endswith((".sums", ".mass"))}


def test_training_writes_it_and_the_model_predicts_with_it_by_its_card_alone(
    make_config: MakeConfig, scenes: Path, tmp_path: Path
) -> None:
    model = train(remembering(make_config), tmp_path / "run", quiet=True)
    module = load_model(model).module
    (memory,) = memories(module)
    for bank in memory.banks:
        assert bool((bank.mass.view(2, 2) > 0).any(1).all())
    scene = scenes / "val" / "images" / "c.tif"
    maps = []
    for wiped in (False, True):
        if wiped:
            for bank in memory.banks:
                bank.mass.zero_()
        image = torch.rand(1, 2, 64, 64, generator=torch.Generator().manual_seed(0))
        maps.append(module(image))
    assert not torch.equal(*maps)
    predict_raster(scene, tmp_path / "map.tif", model)
    with rasterio.open(tmp_path / "map.tif") as result, rasterio.open(scene) as source:
        assert result.shape == source.shape
    before = hashlib.sha256((model / "model.safetensors").read_bytes()).hexdigest()
    assert before in (model / "SHA256SUMS").read_text()


@pytest.mark.parametrize("average", ["ema", pytest.param("swa", marks=pytest.mark.slow)])
def test_a_run_that_was_broken_off_goes_on_to_the_same_memory(
    make_config: MakeConfig, tmp_path: Path, average: str
) -> None:
    config = remembering(make_config, average=average)
    whole = train(config, tmp_path / "whole", quiet=True)
    with broken_off(SegmentationTask, "in an epoch", epoch=1):
        train(config, tmp_path / "broken", quiet=True)
    resumed = train(config, tmp_path / "broken", resume=True, quiet=True)
    weights = "model.safetensors"
    assert (resumed / weights).read_bytes() == (whole / weights).read_bytes()


def test_averaged_weights_go_with_the_memory_that_was_written_last(
    make_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slot that faded is empty in what is judged and stored, though others are averaged."""
    monkeypatch.setattr("geohier.layers.memory_bank.FADED", 0.95)  # some fade at every step
    config = remembering(make_config, epochs=1, ema_decay=0.99)
    model = train(config, tmp_path / "run", quiet=True)
    last = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    now, mean = last["current_model_state"], last["state_dict"]
    stored = {f"network.{name}": one for name, one in load_model(model).module.state_dict().items()}
    assert any(bool((one == 0).any() and one.any()) for one in banks(now).values())
    for name, one in banks(now).items():
        assert torch.equal(one, mean[name]), name
        assert torch.equal(one, stored[name]), name
    for kind in ("running_mean", "project.weight"):
        averaged = [name for name in now if name.endswith(kind)]
        assert not any(torch.equal(now[name], mean[name]) for name in averaged)


class WritesAgain(Callback):
    """Writes whatever a memory still holds after a batch."""

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: object) -> None:
        for memory in memories(pl_module):
            memory.write(torch.zeros(4, 64, 64, dtype=torch.int64), total=lambda own: own)


def test_batches_without_a_step_write_nothing_and_are_forgotten(
    make_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SegmentationTask, "learn", lambda *_: False)
    monkeypatch.setattr(SegmentationTask, "on_train_epoch_end", lambda *_: None)
    config = remembering(make_config, epochs=1, ema_decay=0)
    train(config, tmp_path / "run", quiet=True, watchers=[WritesAgain()])
    kept = banks(best_weights(tmp_path / "run" / "checkpoints"))
    assert kept
    assert not any(bool(one.any()) for one in kept.values())


def test_stored_as_half_precision_the_memory_stays_as_it_is(
    make_config: MakeConfig, tmp_path: Path
) -> None:
    model = train(remembering(make_config, epochs=1), tmp_path / "run", half=True, quiet=True)
    kept = banks(best_weights(tmp_path / "run" / "checkpoints"))
    stored = banks(load_model(model).module.state_dict())
    assert all(torch.equal(stored[name], one) for name, one in kept.items())


def test_a_memory_of_other_classes_than_the_card_s_is_refused(
    make_config: MakeConfig, tmp_path: Path
) -> None:
    model = train(remembering(make_config, epochs=1), tmp_path / "run", quiet=True)
    card = (model / "card.json").read_text()
    assert '"roof"' in card
    (model / "card.json").write_text(json.dumps(json.loads(card.replace('"roof"', '"shed"'))))
    names = ("model.safetensors", "card.json", "config.yaml")
    lines = [f"{hashlib.sha256((model / n).read_bytes()).hexdigest()}  {n}\n" for n in names]
    (model / "SHA256SUMS").write_text("".join(lines))
    with pytest.raises(ModelError, match="memory was written of other classes than ground shed"):
        load_model(model)


def test_a_training_takes_over_the_memory_of_the_same_classes_alone(
    make_config: MakeConfig, tmp_path: Path
) -> None:
    model = train(remembering(make_config, epochs=1), tmp_path / "first", quiet=True)
    for classes, taken in (({0: "ground", 1: "roof"}, True), ({0: "ground", 1: "shed"}, False)):
        config = make_config(
            data={"classes": classes},
            model={**HIERARCHY, "dropout": 0.2},
            chips={"per_epoch": 4},
            training={"epochs": 1, "learning_rate": 1e-12},
            weights={"file": model},
        )
        out = tmp_path / str(taken)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("geohier.layers.memory.LevelMemory.write", lambda *_, **__: None)
            train(config, out, quiet=True)
        kept = banks(best_weights(out / "checkpoints"))
        assert any(bool(one.any()) for one in kept.values()) == taken


@pytest.mark.slow
def test_two_processes_remember_what_one_does(make_config: MakeConfig, tmp_path: Path) -> None:
    found = []
    for processes in (1, 2):
        config = make_config(
            model={**HIERARCHY, "dropout": 0},
            fine_tuning={"frozen_statistics": True},
            training={"processes": processes, "epochs": 2, "precision": "fp32"},
        )
        out = tmp_path / str(processes)
        train(config, out, quiet=True)
        found.append(best_weights(out / "checkpoints"))
    alone, together = found
    assert any(bool(one.any()) for one in banks(alone).values())
    for name, one in banks(alone).items():
        np.testing.assert_allclose(together[name], one, rtol=1e-3, atol=1e-3, err_msg=name)
