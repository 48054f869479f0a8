"""What a class raster says about its classes: as prediction writes it, and as scoring reads it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from torch import nn

from geohier.geo.bands import Band, BandSet
from geohier.inference.options import PredictOptions
from geohier.inference.pipeline import predict_raster
from geohier.models.card import ClassLabel, ModelCard
from geohier.studies.class_raster import open_classes


def test_scoring_finds_the_classes_and_label_values_that_prediction_wrote(
    write_scene: Callable[..., Path], tmp_path: Path
) -> None:
    bands = tuple(Band(name=name, dtype="float32", mean=0, std=1) for name in "ab")
    classes = (
        ClassLabel(name="ground", color="#d9d9d9", label_values=(0, 7)),
        ClassLabel(name="roof", color="#d73027", label_values=(255,)),
    )
    scene = write_scene(np.random.default_rng(0).random((2, 20, 30), dtype="float32"))
    predict_raster(
        scene,
        tmp_path / "map.tif",
        nn.Identity(),
        card=ModelCard(bands=BandSet(bands), classes=classes),
        options=PredictOptions(size=16, overlap=4, device="cpu", precision="fp32"),
    )
    with open_classes(tmp_path / "map.tif") as raster:
        assert raster.classes == classes
