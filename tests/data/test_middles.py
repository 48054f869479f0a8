"""Chips with the middles of objects."""

from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
import torch
from affine import Affine

from geohier.config.load import load_config
from geohier.config.schema import DataConfig, TrainConfig
from geohier.data.chips import choose_chips, fit_chips
from geohier.data.label_rules import LabelRules
from geohier.data.label_source import open_labels
from geohier.data.labels import IGNORE_INDEX, LabelTable
from geohier.data.middles import middles_of
from geohier.data.prepare import prepare
from geohier.errors import ConfigError, LabelError
from geohier.raster.access import open_dataset
from geohier.raster.grid import grid_of

PLACE = Affine(0.5, 0, 500_000, 0, -0.5, 5_000_000)
SIDE = 256

CONFIG = """
task: detection
data:
  root: {root}
  classes: {{ground: 0, tree: 1, car: 2}}
  labels: {{outside: ground, attribute: kind, point_radius_m: 2}}
chips: {{size_px: 64, batch_size: 4, per_epoch: 16}}
augment: {{scale: [0.7, 1.4], gain: 0, offset: 0, gamma: 0, band_gain: 0, band_offset: 0}}
training: {{block_px: 64, buffer_px: 8, workers: 0}}
"""


def write_scene_of(folder: Path, places: np.ndarray, shape: str) -> None:
    """Write an image that is bright at objects, and their labels."""
    values = np.zeros((2, SIDE, SIDE), np.uint8)
    for at, (row, column) in enumerate(places):
        values[at % 2, row, column] = 255
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    with rasterio.open(
        folder / "images" / "a.tif", "w", driver="GTiff", count=2, height=SIDE, width=SIDE,
        dtype="uint8", crs="EPSG:32631", transform=PLACE,
    ) as file:  # fmt: skip
        file.write(values)
    x, y = PLACE @ (places[:, ::-1].T + 0.5)
    points = geopandas.points_from_xy(x, y)
    shapes = points if shape == "points" else shapely.buffer(points, 2, cap_style="square")
    kinds = np.array(["tree", "car"])[np.arange(len(places)) % 2]
    frame = geopandas.GeoDataFrame({"kind": kinds}, geometry=shapes, crs="EPSG:32631")
    frame.to_file(folder / "masks" / "a.geojson")
    (folder / "split.csv").write_text(
        "scene,split,image,mask\na,train,images/a.tif,masks/a.geojson\n"
    )


@pytest.fixture(params=["points", "boxes"])
def config(tmp_path: Path, request: pytest.FixtureRequest) -> TrainConfig:
    places = np.random.default_rng(0).integers(6, SIDE - 6, (40, 2))
    write_scene_of(tmp_path, places, request.param)
    (tmp_path / "config.yaml").write_text(CONFIG.format(root=tmp_path))
    return load_config(tmp_path / "config.yaml")


def test_middles_go_with_their_pixels_however_chips_are_scaled_and_turned(
    config: TrainConfig,
) -> None:
    chips = fit_chips(prepare(config), config)
    marked = 0
    for at in range(len(chips)):
        image, mask = chips[at]["image"], chips[at]["mask"]
        assert {*mask.unique().tolist()} <= {0, 1, 2, IGNORE_INDEX}
        bright = image - image.amin(dim=(1, 2), keepdim=True)
        for row, column in ((mask > 0) & (mask != IGNORE_INDEX)).nonzero().tolist():
            around = slice(max(0, row - 2), row + 3), slice(max(0, column - 2), column + 3)
            band = int(mask[row, column]) - 1
            assert bright[band][around].max() > 0
            marked += 1
    assert marked > 20


def test_each_middle_of_the_choose_blocks_is_there_once(config: TrainConfig) -> None:
    data = prepare(config)
    chips = choose_chips(data, config)
    masks = [chips[at]["mask"] for at in range(len(chips))]
    counted = sum(int(((mask > 0) & (mask != IGNORE_INDEX)).sum()) for mask in masks)
    [scene], [field] = data.train, data.choose
    middles = scene.middles()
    inside = sum(
        ((middles[:, :2] >= (part.row_off, part.col_off))
         & (middles[:, :2] < (part.row_stop, part.col_stop))).all(axis=1)
        for part in field.parts
    )  # fmt: skip
    assert counted == int(np.sum(inside)) > 0
    assert {*middles[:, 2].tolist()} == {1, 2}
    known = torch.stack([(mask != IGNORE_INDEX).sum() for mask in masks])
    assert bool((known > 0).any())


@pytest.mark.parametrize(
    ("shape", "row", "column"),
    [
        (shapely.Point(500_010.1, 4_999_989.8), 20.4, 20.2),
        (shapely.box(500_010, 4_999_989.9, 500_010.2, 4_999_990), 20.1, 20.2),
        (shapely.MultiPoint([(500_001, 4_999_999), (500_003, 4_999_999)]), 2, 4),
    ],
    ids=["a disc smaller than a pixel", "a box in a pixel", "points of one object"],
)
def test_a_middle_is_that_of_what_was_drawn_however_its_label_fills_pixels(
    tmp_path: Path, shape: shapely.Geometry, row: float, column: float
) -> None:
    write_scene_of(tmp_path, np.array([[8, 8]]), "points")
    path = tmp_path / "masks" / "a.geojson"
    frame = geopandas.GeoDataFrame(geometry=[shape], crs="EPSG:32631")
    frame.to_crs("OGC:CRS84").to_file(path, COORDINATE_PRECISION=12)
    labels = {"outside": "ground", "point_radius_m": 0.1}
    classes = {"ground": 0, "tree": 1}
    data = DataConfig.model_validate({"root": str(tmp_path), "classes": classes, "labels": labels})
    with open_dataset(tmp_path / "images" / "a.tif") as image:
        grid = grid_of(image)
    with open_labels(path, grid, LabelRules.of(data)) as source:
        [middle] = middles_of(source, LabelTable(data.classes, data.ignored), path)
    assert middle == pytest.approx([row, column, 1], abs=1e-3)


def test_objects_need_shapes_and_a_ground(config: TrainConfig, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    for options, said in (
        (["data.labels.outside=null"], "needs data.labels.outside"),
        (["task=segmentation", "detection.spread_px=2"], "detection has options, but task is"),
        (["objectives.dice=0.5"], "objectives is of task segmentation"),
        (["training.processes=2"], "within one process"),
        (["data.class_tree={plants: [tree], things: [ground, car]}"], "data.class_tree is of task"),
        (["model.decoder=hierarchy", "model.hierarchy.latents.levels=2"], "latents is of task"),
    ):
        with pytest.raises(ConfigError, match=said):
            load_config(path, options)
    with rasterio.open(tmp_path / "images" / "a.tif") as image:
        profile = image.profile | {"count": 1}
    with rasterio.open(tmp_path / "masks" / "a.tif", "w", **profile) as mask:
        mask.write(np.eye(SIDE, dtype=np.uint8)[None])
    lines = "scene,split,image,mask", "a,train,images/a.tif,masks/a.tif"
    (tmp_path / "split.csv").write_text("\n".join(lines))
    with pytest.raises((LabelError, ConfigError), match=r"raster"):
        fit_chips(prepare(config), config)
