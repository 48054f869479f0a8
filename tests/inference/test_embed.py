"""Features of levels on real files: networks whose levels are known."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from shapely.geometry import box
from torch import Tensor, nn
from torch.nn import functional

from geohier.errors import ConfigError, ModelError, OutputExistsError
from geohier.geo.bands import Band, BandSet
from geohier.geo.tiling import TileGrid, reflected
from geohier.inference import pipeline
from geohier.inference.embed import embed_raster
from geohier.inference.exits import EarlyExits
from geohier.inference.options import PredictOptions
from geohier.inference.pipeline import Prediction, predict_raster
from geohier.inference.progress import Progress
from geohier.models.card import ClassLabel, ModelCard
from geohier.models.level_features import LevelFeatures
from geohier.raster.store import PartStore

WriteScene = Callable[..., Path]
Array = NDArray[np.float32]

EXACT = {"precision": "fp32", "device": "cpu"}
CLASSES = (ClassLabel(name="a", color="#000000"), ClassLabel(name="b", color="#ffffff"))


class Pooled(nn.Module):
    """A 3 x 3 convolution, and its means over cells of 2, 4 and 8 px: levels 0, 1 and 2."""

    reach_px = 1 + 8 + 3
    """Of the convolution, and of enlarging cells of 8 px from those to the left and above."""

    def __init__(self, bands: int = 2, channels: int = 3) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.convolution = nn.Conv2d(bands, channels, 3, padding=1)

    def forward(self, image: Tensor) -> list[Tensor]:
        seen = self.convolution(image)
        return [image, *(functional.avg_pool2d(seen, stride) for stride in (2, 4, 8))]


class Network(nn.Module):
    """What has levels: an encoder, whatever comes after it."""

    def __init__(self, encoder: nn.Module | None = None) -> None:
        super().__init__()
        self.encoder = Pooled() if encoder is None else encoder


def card_of(bands: int = 2, **changes: object) -> ModelCard:
    """Return a card that leaves pixels as they are."""
    identity = (Band(name="abc"[at], dtype="float32", mean=0, std=1) for at in range(bands))
    usual = {"stride": 8, "margins_px": {95: Pooled.reach_px}}
    return ModelCard(bands=BandSet(tuple(identity)), classes=CLASSES, **{**usual, **changes})


def embed(
    scene: Path,
    out: Path,
    levels: Sequence[int],
    network: nn.Module | None = None,
    progress: Progress | None = None,
    **options: object,
) -> Prediction:
    chosen = PredictOptions(**{"size": 64, "overlap": 32, **EXACT, **options})
    net = Network() if network is None else network
    return embed_raster(scene, out, net, levels, card=card_of(), options=chosen, progress=progress)


def values_of(path: Path) -> tuple[Array, Array]:
    """Return the features of a file, NaN for nodata, and the steps of each band."""
    with rasterio.open(path) as file:
        stored, nodata = file.read(), file.nodata
        scale, offset = (np.array(one)[:, None, None] for one in (file.scales, file.offsets))
    return np.where(stored == nodata, np.nan, stored * scale + offset), scale


def untiled(values: Array, levels: Sequence[int], grid: TileGrid) -> Array:
    """Return the features of a scene that goes through the network in one piece."""
    rows = reflected(0, (grid.rows - 1) * grid.step + grid.size, grid.height)
    columns = reflected(0, (grid.columns - 1) * grid.step + grid.size, grid.width)
    image = torch.from_numpy(values[:, rows][:, :, columns])[None]
    with torch.no_grad():
        return LevelFeatures(Network(), levels)(image)[0].numpy()


def noise(height: int, width: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=(2, height, width)).astype("float32")


@given(
    height=st.integers(1, 120),
    width=st.integers(1, 120),
    size=st.sampled_from([64, 72, 96]),
    levels=st.sampled_from([(0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)]),
    blend=st.sampled_from(["taper", "crop"]),
    seed=st.integers(0, 2**32 - 1),
)
def test_tiles_leave_no_trace_and_cells_lie_on_the_scene(
    write_scene: WriteScene,
    tmp_path: Path,
    height: int,
    width: int,
    size: int,
    levels: tuple[int, ...],
    blend: str,
    seed: int,
) -> None:
    """Whatever the sizes, features are those of one pass over all, but for the steps of a byte."""
    values = noise(height, width, seed)
    scene, out = write_scene(values), tmp_path / "f.tif"

    run = embed(scene, out, levels, size=size, blend=blend, overwrite=True)

    stride = 2 ** (levels[0] + 1)
    cells = (-(-height // stride), -(-width // stride))
    got, step = values_of(out)
    whole = untiled(values, levels, run.plan.grid)[:, : cells[0], : cells[1]]
    lowest = values_of_step(out, 0)
    meant = np.clip(whole, lowest, lowest + 250 * step)
    assert (np.abs(got - meant) <= 0.51 * step + 1e-6 * np.abs(lowest) + 1e-5).all()
    with rasterio.open(scene) as source, rasterio.open(out) as file:
        assert file.shape == cells == run.shape
        assert file.crs == source.crs
        for row, column in [(0, 0), (1, 1), (5, 3)]:
            at = (column * stride, row * stride)
            assert file.transform @ (column, row) == pytest.approx(source.transform @ at)


def values_of_step(path: Path, step: int) -> Array:
    with rasterio.open(path) as file:
        scale, offset = np.array(file.scales), np.array(file.offsets)
    return (step * scale + offset)[:, None, None]


def test_bands_say_level_and_channel_and_a_level_is_the_same_in_any_company(
    write_scene: WriteScene, tmp_path: Path
) -> None:
    scene = write_scene(noise(60, 70))
    alone, both = tmp_path / "alone.tif", tmp_path / "both.tif"
    embed(scene, alone, [0])
    embed(scene, both, [2, 0])

    with rasterio.open(alone) as one, rasterio.open(both) as two:
        assert one.descriptions == ("level0_c000", "level0_c001", "level0_c002")
        assert two.descriptions == (*one.descriptions, "level2_c000", "level2_c001", "level2_c002")
        assert json.loads(two.tags()["geohier_levels"])[1] == {
            "level": 2,
            "stride": 8,
            "channels": 3,
        }
        np.testing.assert_array_equal(one.read(), two.read()[:3])
        assert (one.scales, one.offsets) == (two.scales[:3], two.offsets[:3])


def test_scale_and_offset_do_not_depend_on_the_tiles(
    write_scene: WriteScene, tmp_path: Path
) -> None:
    scene = write_scene(noise(150, 90))
    for size in (64, 96):
        embed(scene, tmp_path / f"{size}.tif", [1], size=size)
    with rasterio.open(tmp_path / "64.tif") as one, rasterio.open(tmp_path / "96.tif") as two:
        assert (one.scales, one.offsets) == (two.scales, two.offsets)
        assert np.abs(one.read().astype(int) - two.read()).max() <= 1


def test_a_cell_is_nodata_where_none_of_its_pixels_holds_data(
    write_scene: WriteScene, tmp_path: Path
) -> None:
    values = noise(61, 70)
    values[0, 8:21, 20:44] = np.nan
    values[1, 60, :] = np.nan
    embed(write_scene(values), tmp_path / "f.tif", [1])

    got, _ = values_of(tmp_path / "f.tif")
    expected = np.zeros((16, 18), bool)
    expected[2:5, 5:11] = True  # rows 8-19 of 8-20
    expected[15] = True  # of which the scene has one row
    assert (np.isnan(got) == expected).all()


def test_a_scene_that_is_almost_empty_is_searched_for_what_it_holds(
    write_scene: WriteScene, tmp_path: Path
) -> None:
    """Data in a corner that no first look would meet: steps are still those of the data."""
    values = np.full((1, 1100, 5700), np.nan, "float32")
    values[0, 700:704, 4400:4410] = np.arange(10) * 100
    encoder = nn.Identity()
    network = Network(encoder)
    encoder.forward = lambda image: [image, functional.avg_pool2d(image, 2)]  # type: ignore[method-assign]
    options = PredictOptions(size=512, overlap=0, **EXACT)
    card = card_of(1, stride=2)
    embed_raster(write_scene(values), tmp_path / "f.tif", network, [0], card=card, options=options)

    got, step = values_of(tmp_path / "f.tif")
    assert (
        got[0, 350:352, 2200:2205].tolist() == [pytest.approx([50, 250, 450, 650, 850], abs=4)] * 2
    )
    assert step.item() == pytest.approx(800 / 250, rel=0.1)


def test_a_scene_without_data_becomes_a_raster_without_data(
    write_scene: WriteScene, tmp_path: Path
) -> None:
    run = embed(write_scene(np.full((2, 40, 40), np.nan, "float32")), tmp_path / "f.tif", [0, 1])
    with rasterio.open(tmp_path / "f.tif") as file:
        assert (file.read() == 255).all()
    assert run.notes[-1] == "no pixel holds data: the features are nodata all over"


def test_outside_the_area_of_interest_is_nodata(write_scene: WriteScene, tmp_path: Path) -> None:
    scene = write_scene(noise(80, 80))
    with rasterio.open(scene) as raster:
        left, top = raster.transform @ (20, 10)
        right, bottom = raster.transform @ (45, 38)
    area = geopandas.GeoDataFrame(geometry=[box(left, bottom, right, top)], crs="EPSG:32631")
    area.to_file(tmp_path / "area.gpkg")
    embed(scene, tmp_path / "f.tif", [1], aoi=tmp_path / "area.gpkg")

    got, _ = values_of(tmp_path / "f.tif")
    inside = np.zeros((20, 20), bool)
    inside[2:10, 5:12] = True  # cells with a pixel of rows 10-37 and columns 20-44
    assert (~np.isnan(got) == inside).all()


def test_overviews_are_means(write_scene: WriteScene, tmp_path: Path) -> None:
    embed(write_scene(noise(512, 512)), tmp_path / "f.tif", [1], creation={"BLOCKSIZE": "64"})
    with rasterio.open(tmp_path / "f.tif") as file:
        whole = file.read().astype(float)
        assert file.overviews(1) == [2]
    with rasterio.open(tmp_path / "f.tif", overview_level=0) as file:
        means = whole.reshape(3, 64, 2, 64, 2).mean(axis=(2, 4))
        assert np.abs(file.read() - means).max() <= 0.5


def test_averaging_over_the_symmetries_is_the_mean_of_the_eight(
    write_scene: WriteScene, tmp_path: Path
) -> None:
    values = noise(64, 64)
    run = embed(write_scene(values), tmp_path / "f.tif", [0], symmetric=True)

    turned = [
        np.rot90(untiled(np.rot90(image, turns, (1, 2)).copy(), [0], run.plan.grid), -turns, (1, 2))
        for image in (values, values[:, ::-1])
        for turns in range(4)
    ]
    mean = sum(turned[:4]) + sum(one[:, ::-1] for one in turned[4:])
    got, step = values_of(tmp_path / "f.tif")
    lowest = values_of_step(tmp_path / "f.tif", 0)
    meant = np.clip(mean / 8, lowest, lowest + 250 * step)
    assert (np.abs(got - meant) <= 0.51 * step).all()


def test_swaths_of_little_memory_give_the_same_features(
    write_scene: WriteScene, tmp_path: Path
) -> None:
    scene = write_scene(noise(60, 900))
    runs = [
        embed(scene, tmp_path / f"{name}.tif", [0, 2], memory_gb=memory)
        for name, memory in (("wide", None), ("narrow", 0.0025))
    ]
    assert [len(run.plan.swaths) > 1 for run in runs] == [False, True]
    with rasterio.open(tmp_path / "wide.tif") as one, rasterio.open(tmp_path / "narrow.tif") as two:
        np.testing.assert_array_equal(one.read(), two.read())


@pytest.mark.parametrize("after", [0, 1, 2])
def test_an_interrupted_run_goes_on_and_gives_the_same_bytes(
    write_scene: WriteScene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    """Also where the sample of the scene would give other steps at the second start."""
    scene = write_scene(noise(120, 80))
    embed(scene, tmp_path / "whole.tif", [0, 1])
    written = 0

    def fails(store: PartStore, *arguments: object, **more: object) -> None:
        nonlocal written
        if written == after:
            raise KeyboardInterrupt
        written += 1
        write(store, *arguments, **more)  # type: ignore[arg-type]

    write = PartStore.write
    monkeypatch.setattr(PartStore, "write", fails)
    with pytest.raises(KeyboardInterrupt):
        embed(scene, tmp_path / "f.tif", [0, 1])
    assert not (tmp_path / "f.tif").exists()
    monkeypatch.setattr(PartStore, "write", write)
    if after:
        monkeypatch.setattr(pipeline, "measure_encodings", lambda job: [(9.0, 9.0)] * 6)
    embed(scene, tmp_path / "f.tif", [0, 1])

    assert (tmp_path / "f.tif").read_bytes() == (tmp_path / "whole.tif").read_bytes()
    assert not (tmp_path / "f.tif.parts").exists()


def test_a_finished_run_is_up_to_date_and_other_levels_are_another_run(
    write_scene: WriteScene, tmp_path: Path
) -> None:
    scene, out = write_scene(noise(60, 60)), tmp_path / "f.tif"
    assert not embed(scene, out, [0]).up_to_date
    assert embed(scene, out, [0]).up_to_date
    with pytest.raises(OutputExistsError, match=r"features\.1\.level was 0, now 1"):
        embed(scene, out, [1])
    embed(scene, out, [1], overwrite=True)
    assert rasterio.open(out).shape == (15, 15)


def test_features_may_take_the_place_of_a_map_and_its_layers(
    write_scene: WriteScene, tmp_path: Path
) -> None:
    scene, out = write_scene(noise(60, 60)), tmp_path / "f.tif"
    options = PredictOptions(size=48, overlap=8, confidence=True, overwrite=True, **EXACT)
    predict_raster(scene, out, nn.Identity(), card=card_of(), options=options)
    assert (tmp_path / "f_confidence.tif").exists()
    embed(scene, out, [0], overwrite=True)
    assert {path.name for path in tmp_path.iterdir()} == {"scene.tif", "f.tif", "f.tif.run.json"}
    predict_raster(scene, out, nn.Identity(), card=card_of(), options=options)
    assert rasterio.open(out).shape == (60, 60)


def test_a_map_stays_until_the_features_that_replace_it_are_whole(
    write_scene: WriteScene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene, out = write_scene(noise(60, 60)), tmp_path / "f.tif"
    options = PredictOptions(size=48, overlap=8, **EXACT)
    predict_raster(scene, out, nn.Identity(), card=card_of(), options=options)
    before = out.read_bytes()

    def killed(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("geohier.raster.store.move_durably", killed)
        with pytest.raises(KeyboardInterrupt):
            embed(scene, out, [0], overwrite=True)
    assert out.read_bytes() == before
    embed(scene, out, [0], overwrite=True)
    assert rasterio.open(out).shape == (30, 30)


def test_progress_ends_with_all_pixels_of_the_scene(
    write_scene: WriteScene, tmp_path: Path
) -> None:
    told: list[tuple[int, int]] = []
    scene = write_scene(noise(61, 75))
    embed(scene, tmp_path / "f.tif", [1], progress=lambda *found: told.append(found))
    assert told[0] == (0, 61 * 75)
    assert told[-1] == (61 * 75, 61 * 75)


class Spoilt(Pooled):
    def forward(self, image: Tensor) -> list[Tensor]:
        return [level * float("nan") for level in super().forward(image)]


@pytest.mark.parametrize(
    ("levels", "network", "card", "options", "error", "says"),
    [
        (
            [7],
            Network(),
            {},
            {},
            ConfigError,
            r"no level 7 in the model, which has 0 \(stride 2 px\)",
        ),
        (
            [-1],
            Network(),
            {"gsd_m": (5.0, 10.0)},
            {},
            ConfigError,
            r"no level -1 .* 2 \(stride 8 px, GSD 40 to 80 m\)",
        ),
        ([], Network(), {}, {}, ConfigError, "levels none: name one level or more"),
        ([1, 1], Network(), {}, {}, ConfigError, "levels 1, 1: .* each once"),
        (
            [2],
            Network(),
            {"stride": 4},
            {},
            ConfigError,
            "level 2 has a stride of 8 px, but the card",
        ),
        ([0], nn.Identity(), {}, {}, ModelError, "a Identity has no encoder"),
        ([0], Network(), {}, {"confidence": True}, ConfigError, "features have no classes"),
        ([0], Network(), {}, {"thresholds": {"a": 0.5}}, ConfigError, "features have no classes"),
        ([0], Network(), {}, {"tree_level": 1}, ConfigError, "features have no classes"),
        ([0], Network(), {}, {"exits": EarlyExits(factors=(2,))}, ConfigError, "and exits"),
        ([0], Network(Spoilt()), {}, {}, ModelError, "not finite"),
        ([0], Network(), {}, {"size": 20}, ConfigError, "no multiple of the model's stride"),
    ],
)
def test_what_cannot_be_embedded_is_refused_and_leaves_nothing(
    write_scene: WriteScene,
    tmp_path: Path,
    levels: list[int],
    network: nn.Module,
    card: dict[str, object],
    options: dict[str, object],
    error: type[Exception],
    says: str,
) -> None:
    scene = write_scene(noise(40, 40))
    chosen = PredictOptions(**{"size": 24, "overlap": 8, **EXACT, **options})
    with pytest.raises(error, match=says):
        embed_raster(
            scene, tmp_path / "f.tif", network, levels, card=card_of(**card), options=chosen
        )
    assert {path.name for path in tmp_path.iterdir()} == {"scene.tif"}
