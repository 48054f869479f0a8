"""Trainings that several GPUs share: batch normalisations go by the whole batch."""

from pathlib import Path

import pytest
import torch
from roof_scenes import roofs, write_pair

from geohier.config.schema import TrainConfig
from geohier.training.checkpoint import best_weights
from geohier.training.fit import train
from geohier.training.log import read_rows

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(torch.cuda.device_count() < 2, reason="there are no two CUDA devices"),
]


def config(scenes: Path, processes: int) -> TrainConfig:
    """Return a run whose network has normalisations with an activation in them."""
    return TrainConfig.model_validate(
        {
            "data": {"root": scenes, "classes": {0: "ground", 1: "roof"}},
            "model": {"encoder": "mobilenetv2_050", "dropout": 0},
            "chips": {"size_px": 64, "batch_size": 8, "per_epoch": 32},
            "training": {
                "processes": processes,
                "epochs": 2,
                "precision": "fp32",
                "block_px": 64,
                "buffer_px": 0,
                "workers": 0,
            },
        }
    )


def test_two_gpus_train_the_model_that_one_does(tmp_path: Path) -> None:
    """Normalisations that go by the whole batch measure what one GPU measures.

    Float32 convolutions of a GPU may round to 10 bits (TF32), and rounding grows from step to step:
    losses are compared closely, running statistics loosely, other weights not at all.
    """
    scenes = tmp_path / "scenes"
    for seed, name in enumerate(["train/a", "train/b", "val/c"]):
        split, scene = name.split("/")
        write_pair(scenes / split, scene, *roofs(seed))
    found = []
    for processes in (1, 2):
        out = tmp_path / str(processes)
        train(config(scenes, processes), out, quiet=True)
        found.append((read_rows(out), best_weights(out / "checkpoints")))
    (alone, weights), (together, same_weights) = found
    losses = [[row["loss"] for row in rows] for rows in (alone, together)]
    assert losses[1] == pytest.approx(losses[0], rel=0.02)
    for name, value in weights.items():
        if name.endswith(("running_mean", "running_var")):
            torch.testing.assert_close(same_weights[name], value, rtol=0.05, atol=0.02)
