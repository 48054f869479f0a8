"""What the results page says of features against raw bands."""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from bench_modules import bench_module
from roof_scenes import SIDE, roofs, write_pair

BENCH = Path(__file__).resolve().parent / "bench"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The comparison."""
    with bench_module("probe", monkeypatch) as module:
        yield module


def test_makers_are_compared_on_the_same_pixels_and_blocks(
    bench: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = ["scene,split,image,mask"]
    for seed, split in ((0, "train"), (1, "train"), (2, "val")):
        image, mask = roofs(seed)
        noise = np.random.default_rng(seed).normal(0, 40, image.shape)
        write_pair(tmp_path / "amazon_forest_s2", f"s{seed}", (image + noise).clip(0, 255), mask)
        rows.append(f"s{seed},{split},images/s{seed}.tif,masks/s{seed}.tif")
    (tmp_path / "amazon_forest_s2" / "split.csv").write_text("\n".join(rows) + "\n")
    two = {
        "raw bands": bench.Maker(stride=1),
        "raw bands, means of 2 x 2 px": bench.Maker(stride=2),
        "raw bands, means of 32 x 32 px": bench.Maker(stride=32),
    }
    monkeypatch.setattr(bench, "makers", lambda fed, more: two)
    found = bench.compare("forest", tmp_path, {})
    assert (found["train"], found["val"]) == (["s0", "s1"], ["s2"])
    iou = {(one["features"], one["head"], one["points"]): one["iou"] for one in found["runs"]}
    assert len(iou) == 3 * 3 * 3
    assert min(iou["raw bands, means of 32 x 32 px", "prototype", 100]["macro"]) == 1
    assert max(iou["raw bands", "linear", 5]["macro"]) < 1
    [gain] = [one for one in found["gains"] if one["points"] == 20]
    assert gain["macro"]["value"] > 0
    assert gain["macro"]["n"] == 1
    page = "\n".join(import_module("probe_table").describe({"command": "some", "found": found}))
    assert "| raw bands, means of 32 x 32 px, prototype | " in page
    assert "1.000 (1.000 to 1.000) |" in page
    assert "Mean IoU on s2 of heads" in page
    assert "over raw bands, means of 2 x 2 px, 20 px a class: +0.0" in page


@pytest.mark.parametrize(("fed", "stride"), [("own", 2), ("whole", 8)])
def test_the_demo_network_and_its_random_weights_differ_in_their_weights_alone(
    bench: ModuleType, tmp_path: Path, fed: str, stride: int
) -> None:
    image = np.random.default_rng(0).integers(1, 250, (3, SIDE, SIDE))
    write_pair(tmp_path, "one", image, image[0])
    made = bench.makers(fed, {})
    ours, random = (made[name] for name in ("network of the demo", "its random weights"))
    names = [set(dict(one.module.named_parameters())) for one in (ours, random)]
    assert names[0] == names[1]
    kernels = [next(p for p in one.module.parameters() if p.ndim == 4) for one in (ours, random)]
    assert not torch.equal(*kernels)
    found = [one.features(tmp_path / "images" / "one.tif", tmp_path) for one in (ours, random)]
    assert found[0].shape == found[1].shape == (192, SIDE // stride, SIDE // stride)
    assert not np.allclose(*found)
