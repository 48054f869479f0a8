"""Two small scenes of bright roofs, and a network that learns them in seconds."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
from roof_scenes import MakeConfig, roofs, write_pair

from geohier.config.schema import TrainConfig
from geohier.models.receptive_field import measure_receptive_field


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    """A folder with train/ and val/, two and one scenes."""
    for seed, name in enumerate(["train/a", "train/b", "val/c"]):
        split, scene = name.split("/")
        write_pair(tmp_path / "scenes" / split, scene, *roofs(seed))
    return tmp_path / "scenes"


@pytest.fixture
def make_config(scenes: Path) -> MakeConfig:
    """Return a function that makes the config of a tiny run; keywords lay over its sections."""

    def make(**sections: dict[str, Any]) -> TrainConfig:
        values: dict[str, dict[str, Any]] = {
            "data": {"root": scenes, "classes": {0: "ground", 1: "roof"}},
            "model": {"encoder": "test_resnet", "pyramid_channels": 16},
            "chips": {"size_px": 64, "batch_size": 4, "per_epoch": 16},
            "training": {"epochs": 3, "block_px": 64, "buffer_px": 0, "workers": 0},
        }
        values["model"]["segmentation_channels"] = 32
        for name, section in sections.items():
            values[name] = {**values.get(name, {}), **section}
        return TrainConfig.model_validate(values)

    return make


@pytest.fixture(autouse=True)
def small_field(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure receptive fields on small windows: how far is not the question here."""
    small = partial(measure_receptive_field, largest_px=128)
    monkeypatch.setattr("geohier.training.describe.measure_receptive_field", small)
