"""Every kind of hierarchy goes from a config to a map, by commands alone."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from cli.conftest import Run

from geohier.models.manifest import read_card

ARRANGEMENTS = {
    "as it stands": [],
    "six strided levels, up again": [
        "model.hierarchy.levels=6",
        "model.hierarchy.extra_levels=conv",
        "model.hierarchy.fusion=pan",
        "model.encoder_depth=4",
    ],
    "weighted and gated": ["model.hierarchy.fusion=weighted", "model.hierarchy.merge=gated"],
    "UPerNet": [
        "model.hierarchy.context=pooling",
        "model.hierarchy.refine=conv",
        "model.hierarchy.merge=concat",
    ],
    "attention and memory": [
        "model.hierarchy.attention.kind=hierarchical",
        "model.hierarchy.memory.slots=2",
    ],
    "told more than classes": [
        "auxiliary.edges=1",
        "auxiliary.levels=1",
        "auxiliary.reconstruction=0.5",
    ],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ARRANGEMENTS)
def test_a_hierarchy_trains_and_predicts_by_its_card_alone(
    run: Run, roofs_config: Path, tmp_path: Path, name: str
) -> None:
    said = ["model.decoder=hierarchy", "training.epochs=1", *ARRANGEMENTS[name]]
    changes = [word for one in said for word in ("--set", one)]
    trained = run("train", roofs_config, *changes, "--out", tmp_path / "run", "--quiet")
    assert trained.code == 0, trained.err
    model, scene = tmp_path / "run" / "model", roofs_config.parent / "scenes/val/images/b.tif"

    predicted = run("predict", scene, "--model", model, "--out", tmp_path / "map.tif", "--quiet")

    assert predicted.code == 0, predicted.err
    with rasterio.open(tmp_path / "map.tif") as found, rasterio.open(scene) as image:
        assert found.shape == image.shape
        assert {*np.unique(found.read(1))} <= {0, 1, 255}
    coarsest = 64 if "six" in name else 32
    assert read_card(model).strides[-1] == coarsest
