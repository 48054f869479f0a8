"""Maps of stacks of dates: a model whose right answer is known, and a real network."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
import yaml
from dated_scenes import write_image, write_stack
from small_models import CLASSES, COLOURS
from torch import Tensor, nn
from torch.nn import functional

from geohier.config.model import ModelConfig
from geohier.errors import BandMismatchError, ModelError
from geohier.geo.bands import Band, BandSet
from geohier.geo.dates import read_date
from geohier.inference.options import PredictOptions
from geohier.inference.pipeline import predict_raster
from geohier.layers.dates import stack_of
from geohier.models.card import ModelCard
from geohier.models.segmentation import build_segmenter

SHAPE = (3, 70, 90)
MEANS = (60, 100, 150)
EXACT = {"device": "cpu", "precision": "fp32"}


def card(**changes: object) -> ModelCard:
    bands = (
        Band(name=name, dtype="uint8", mean=mean, std=50, high=250)
        for name, mean in zip(COLOURS, MEANS, strict=True)
    )
    made = ModelCard(bands=BandSet(tuple(bands)), classes=CLASSES, dates=2)
    return replace(made, **changes)  # type: ignore[arg-type]


class Newest(nn.Module):
    """Answers with the brightest band of the newest date that saw a pixel."""

    def forward(self, image: Tensor) -> Tensor:
        stack = stack_of(image, 3)
        assert bool((stack.days <= 366).all())
        when = (stack.days - 366 * stack.ages)[:, :, None, None]
        newest = when.where(stack.seen, -torch.inf).argmax(1, keepdim=True)
        shown = stack.images.gather(1, newest[:, :, None].expand(-1, -1, 3, -1, -1))
        physical: Tensor = (shown[:, 0] * 50 + torch.tensor(MEANS)[:, None, None]).round()
        return physical


def noise(seed: int) -> np.ndarray:
    """Return random bytes; 0 is nodata, in blobs."""
    rng = np.random.default_rng(seed)
    values = rng.integers(1, 255, SHAPE, dtype="uint8")
    values[:, rng.random((SHAPE[1] // 10, SHAPE[2] // 10)).repeat(10, 0).repeat(10, 1) < 0.4] = 0
    return values


STACK = {"2016": noise(0), "2018-03": noise(1), "2020-11-30": noise(2)}


def expected(stack: Mapping[str, np.ndarray]) -> np.ndarray:
    found = np.full(SHAPE[1:], 255, "uint8")
    for day in sorted(stack, key=read_date):
        values = stack[day]
        found = np.where(values.any(axis=0), values.argmax(axis=0), found)
    return found


def read(path: Path) -> np.ndarray:
    with rasterio.open(path) as file:
        return file.read(1)


@pytest.mark.parametrize("days", [["2020-11-30"], ["2018-03", "2016"], list(STACK)])
@pytest.mark.parametrize(("size", "batch"), [(16, 3), (128, 1)])
def test_each_pixel_is_seen_by_the_dates_that_saw_it(
    tmp_path: Path, days: list[str], size: int, batch: int
) -> None:
    stack = {day: STACK[day] for day in days}
    scene = write_stack(tmp_path / "s.scene.yaml", stack, nodata=0)
    options = PredictOptions(size=size, overlap=0, batch_size=batch, **EXACT)
    ended = predict_raster(scene, tmp_path / "map.tif", Newest(), card=card(), options=options)
    np.testing.assert_array_equal(read(tmp_path / "map.tif"), expected(stack))
    assert any(f"a stack of {len(days)} date" in note for note in ended.notes)


def test_the_order_of_files_changes_no_byte(tmp_path: Path) -> None:
    for name, days in (("a", sorted(STACK)), ("b", sorted(STACK, reverse=True))):
        stack = {day: STACK[day] for day in days}
        scene = write_stack(tmp_path / f"{name}.scene.yaml", stack, nodata=0)
        predict_raster(scene, tmp_path / f"{name}.tif", Newest(), card=card())
    assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()


def test_an_interrupted_run_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    scene = write_stack(tmp_path / "s.scene.yaml", STACK, nodata=0)
    options = PredictOptions(size=16, overlap=0, **EXACT)

    def stop(done: int, total: int) -> None:
        if 3 * done > total:
            raise KeyboardInterrupt

    whole, parted = tmp_path / "whole.tif", tmp_path / "parted.tif"
    predict_raster(scene, whole, Newest(), card=card(), options=options)
    with pytest.raises(KeyboardInterrupt):
        predict_raster(scene, parted, Newest(), card=card(), options=options, progress=stop)
    predict_raster(scene, parted, Newest(), card=card(), options=options)
    assert parted.read_bytes() == whole.read_bytes()


def test_a_model_that_normalises_by_the_scene_goes_by_all_its_dates(tmp_path: Path) -> None:
    stack = {"2016": np.maximum(noise(0) // 4, 1), "2020": np.maximum(noise(0) // 4, 1) + 180}
    scene = write_stack(tmp_path / "s.scene.yaml", stack)
    seen: list[float] = []

    class Look(nn.Module):
        def forward(self, image: Tensor) -> Tensor:
            images = stack_of(image, 3).images
            seen.append(float(images.std()))
            return images[:, 0]

    options = PredictOptions(size=70, overlap=0, **EXACT)
    by_scene = card(normalise="scene")
    predict_raster(scene, tmp_path / "m.tif", Look(), card=by_scene, options=options)
    assert seen[0] == pytest.approx(1, abs=0.05)


def test_scenes_that_do_not_fit_are_told_in_one_line(tmp_path: Path) -> None:
    plain = write_image(tmp_path / "plain.tif", noise(0))
    with pytest.raises(BandMismatchError, match="plain does not say when it was taken"):
        predict_raster(plain, tmp_path / "m.tif", Newest(), card=card())
    stack = write_stack(tmp_path / "s.scene.yaml", STACK)
    one_image = card(dates=None)
    with pytest.raises(BandMismatchError, match="stack of 3 dates, and the model reads one image"):
        predict_raster(stack, tmp_path / "m.tif", nn.Identity(), card=one_image)
    alone = write_stack(tmp_path / "one.scene.yaml", {"2016": noise(0)})
    predict_raster(alone, tmp_path / "one.tif", nn.Identity(), card=one_image)
    other = write_stack(tmp_path / "o.scene.yaml", {"2016": noise(0)[:2], "2020": noise(1)})
    with pytest.raises(BandMismatchError, match=r"o, 2016-07-02: the raster's bands .*no blue"):
        predict_raster(other, tmp_path / "m.tif", Newest(), card=card())
    bright = {"2016": noise(0).astype("uint16") * 90, "2020": noise(1).astype("uint16")}
    far = write_stack(tmp_path / "f.scene.yaml", bright)
    with pytest.raises(ModelError, match="f: uint16 values of band red reach"):
        predict_raster(far, tmp_path / "m.tif", Newest(), card=card())


class Shifted(nn.Module):
    """Scores of a real network, enlarged so that classes are mixed."""

    def __init__(self, kind: str, bands: int = 3) -> None:
        super().__init__()
        torch.manual_seed(0)
        values = {
            "encoder": "test_resnet",
            "decoder": "hierarchy",
            "encoder_depth": 3,
            "pyramid_channels": 8,
            "segmentation_channels": 8,
            "hierarchy": {"levels": 3, "time": {"kind": kind}},
        }
        self.network = build_segmenter(ModelConfig.model_validate(values), bands, 3).eval()

    def forward(self, image: Tensor) -> Tensor:
        scores: Tensor = functional.normalize(self.network(image))
        return 9 * scores


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ltae", "convlstm"])
def test_tiled_is_whole(tmp_path: Path, kind: str) -> None:
    rng = np.random.default_rng(0)
    stack = {day: rng.integers(0, 255, (3, 256, 256), dtype="uint8") for day in STACK}
    stack["2016"][:, :100, :100] = 0
    scene = write_stack(tmp_path / "s.scene.yaml", stack, nodata=0)
    maps = []
    for size, overlap in ((256, 0), (192, 96)):
        out = tmp_path / f"{size}.tif"
        options = PredictOptions(size=size, overlap=overlap, probabilities=True, **EXACT)
        described = card(stride=32, strides=(1, 2, 4), margins_px={95: 64})
        predict_raster(scene, out, Shifted(kind), card=described, options=options)
        with rasterio.open(tmp_path / f"{size}_probabilities.tif") as file:
            maps.append(file.read().astype(int))
    inside = np.s_[:, :192, :192]  # beyond the raster the last tiles are mirrored
    assert np.abs(maps[0][inside] - maps[1][inside]).max() <= 1


@pytest.mark.slow
@pytest.mark.shared
def test_eight_dates_of_a_real_place_are_mapped(shared_data: Path, tmp_path: Path) -> None:
    """Each of them counts: the map of all differs from the map of the newest."""
    images = shared_data / "landsat_timeseries_pucallpa" / "images"
    years = range(1985, 2021, 5)
    dates = [
        {"date": year, "files": [{"path": str(images / f"pucallpa_{year}.tif")}]} for year in years
    ]
    bands = (Band(name=name, dtype="uint8", mean=90, std=60) for name in (*COLOURS, "nir"))
    four = card(bands=BandSet(tuple(bands)), stride=32, strides=(1, 2, 4), dates=8)
    maps = []
    for name, chosen in (("all", dates), ("newest", dates[-1:])):
        scene = tmp_path / f"{name}.scene.yaml"
        scene.write_text(yaml.safe_dump({"dates": chosen}))
        out, options = tmp_path / f"{name}.tif", PredictOptions(size=256, **EXACT)
        predict_raster(scene, out, Shifted("ltae", bands=4), card=four, options=options)
        maps.append(read(out))
    assert maps[0].shape == maps[1].shape == (377, 697)
    assert (maps[0] != 255).mean() > 0.99
    assert 0.01 < (maps[0] != maps[1]).mean() < 1
