"""Objects, from a config to points and their scores, as it is typed."""

import json
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
from affine import Affine
from cli.conftest import Run
from object_scenes import told

PLACE = Affine(0.5, 0, 500_000, 0, -0.5, 5_000_000)
SIDE = 128

CONFIG = """
task: detection
data:
  classes: {ground: 0, tree: 1}
  labels: {outside: ground, point_radius_m: 2}
detection: {match_m: 2}
model: {encoder: resnet10t, encoder_depth: 3, pyramid_channels: 32, segmentation_channels: 32}
chips: {size_px: 64, batch_size: 4, per_epoch: 48}
training: {epochs: 4, block_px: 64, buffer_px: 0, workers: 0, examples: 1, precision: fp32}
"""


@pytest.fixture
def trees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with scenes of bright spots on noise, and a config for them."""
    rng = np.random.default_rng(1)
    lines = ["scene,split,image,mask"]
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
    for at in range(5):
        places, place = rng.uniform(4, SIDE - 4, (25, 2)), PLACE * Affine.translation(at * SIDE, 0)
        values = told(places.tolist(), SIDE, SIDE) / 2 + rng.uniform(0, 60, (SIDE, SIDE))
        with rasterio.open(
            tmp_path / "images" / f"{at}.tif", "w", driver="GTiff", count=1, height=SIDE,
            width=SIDE, dtype="uint8", crs="EPSG:32631", transform=place,
        ) as file:  # fmt: skip
            file.write(values.astype(np.uint8)[None])
        points = geopandas.points_from_xy(*(place @ places[:, ::-1].T))
        frame = geopandas.GeoDataFrame(geometry=points, crs="EPSG:32631")
        frame.to_file(tmp_path / "masks" / f"{at}.geojson")
        lines.append(f"{at},{'val' if at == 4 else 'train'},images/{at}.tif,masks/{at}.geojson")
    (tmp_path / "split.csv").write_text("\n".join(lines))
    (tmp_path / "config.yaml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_points_are_learnt_found_and_scored(trees: Path, run: Run) -> None:
    trained = run("train", "config.yaml", "--out", "run")
    assert trained.code == 0, trained.err
    assert "F1 " in trained.out
    assert "--out objects.gpkg" in trained.out
    assert "choose F1" in trained.err
    rows = [json.loads(line) for line in Path("run/metrics.jsonl").read_text().splitlines()]
    assert rows[-1]["choose_f1"] > 0.6
    assert {"choose_f1.tree", "choose_threshold.tree", "focal"} <= rows[-1].keys()
    assert Path("run/curve.png").stat().st_size > 1000
    assert Path("run/examples/best.png").stat().st_size > 1000

    one = run("predict", "images/4.tif", "--model", "run/model", "--out", "a.gpkg")
    assert one.code == 0, one.err
    assert "of tree; 128 x 128 px" in one.out
    found = geopandas.read_file("a.gpkg")
    assert 15 < len(found) < 40
    several = run("predict", "images", "--model", "run/model", "--out", "found", "--json").json
    assert [Path(one["outputs"]["objects"]).name for one in several] == [
        f"{at}.gpkg" for at in range(5)
    ]
    assert several[4]["objects"] == {"tree": len(found)}
    assert "up to date" in run("predict", "images", "--model", "run/model", "--out", "found").out

    scored = run("evaluate", "--model", "run/model", "--data", "config.yaml", "--json").json
    assert scored["classes"]["tree"]["f1"] > 0.7
    assert scored["classes"]["tree"]["rmse_m"] < 1
    assert scored["within_m"] == 2
    strict = run("evaluate", "--model", "run/model", "--data", "config.yaml", "--within-m", 0.1)
    assert "Objects within 0.1 m, 1 scenes" in strict.out

    shown = run("inspect", "run/model")
    assert "tree" in shown.out
    assert shown.code == 0
    for words, code in (
        (("predict", "images/4.tif", "--model", "run/model", "--out", "a.tif"), 2),
        (("predict", "images/4.tif", "--model", "run/model", "--out", "b.gpkg", "--entropy"), 2),
        (("evaluate", "--model", "run/model", "--data", "config.yaml", "--within-m", "-1"), 2),
        (("evaluate", "--model", "run/model", "--data", "config.yaml", "--picture", "p"), 2),
        (("predict", "images", "--model", "run/model", "--out", "x.gpkg"), 2),
    ):
        refused = run(*words)
        assert refused.code == code, refused.out
        assert len(refused.err.splitlines()) == 1, refused.err
