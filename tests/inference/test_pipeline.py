"""The main job on real files: models whose right answer is known."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from geohier.errors import (
    BandMismatchError,
    ConfigError,
    InputError,
    ModelError,
    OutputExistsError,
    RasterReadError,
    ResourceError,
)
from geohier.geo.bands import Band, BandSet
from geohier.inference.options import PredictOptions
from geohier.inference.pipeline import predict_raster
from geohier.inference.row_runs import with_row_above
from geohier.models.card import ClassLabel, ModelCard

WriteScene = Callable[..., Path]

EXACT = {"precision": "fp32", "device": "cpu"}


def card_of(bands: int, classes: int, **changes: object) -> ModelCard:
    """Return a card that leaves pixels as they are."""
    names = "abcdefgh"
    labels = tuple(ClassLabel(name=f"class {k}", color=f"#0000{k:02x}") for k in range(classes))
    identity = tuple(Band(name=names[at], dtype="float32", mean=0, std=1) for at in range(bands))
    return ModelCard(bands=BandSet(identity), classes=labels, **changes)


def one_hot(labels: np.ndarray, classes: int = 3) -> np.ndarray:
    return np.eye(classes, dtype="float32")[labels].transpose(2, 0, 1)


def read(path: Path) -> np.ndarray:
    with rasterio.open(path) as raster:
        return raster.read()


class Convolutions(nn.Module):
    """Three 3 x 3 convolutions: a receptive field of exactly 3 px around each pixel."""

    radius = 3

    def __init__(self, bands: int = 2, classes: int = 3, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.layers = nn.Sequential(
            nn.Conv2d(bands, 6, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(6, 6, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(6, classes, 3, padding=1),
        )

    def forward(self, pixels: Tensor) -> Tensor:
        scores: Tensor = self.layers(pixels)
        return scores


@pytest.mark.parametrize(("size", "overlap"), [(16, 0), (16, 5), (64, 32)])
def test_labels_land_on_the_pixels_they_came_from(
    write_scene: WriteScene, tmp_path: Path, size: int, overlap: int
) -> None:
    """A model that returns its input must reproduce the scene, on the scene's own grid."""
    truth = np.random.default_rng(0).integers(0, 3, size=(45, 70))
    scene = write_scene(one_hot(truth))
    options = PredictOptions(size=size, overlap=overlap, **EXACT)

    predict_raster(scene, tmp_path / "out.tif", nn.Identity(), card=card_of(3, 3), options=options)

    with rasterio.open(scene) as source, rasterio.open(tmp_path / "out.tif") as labels:
        np.testing.assert_array_equal(labels.read(1), truth)
        assert (labels.transform, labels.crs) == (source.transform, source.crs)


@given(
    height=st.integers(1, 60),
    width=st.integers(1, 60),
    size=st.integers(16, 40),
    extra=st.integers(0, 6),
    blend=st.sampled_from(["taper", "crop"]),
    seed=st.integers(0, 2**32 - 1),
)
def test_tiled_equals_whole(
    write_scene: WriteScene,
    tmp_path: Path,
    height: int,
    width: int,
    size: int,
    extra: int,
    blend: str,
    seed: int,
) -> None:
    """With a margin of at least the receptive field, tiles leave no trace in the result."""
    values = np.random.default_rng(seed).normal(size=(2, height, width)).astype("float32")
    scene = write_scene(values)
    net = Convolutions()
    card = card_of(2, 3, margins_px={95: net.radius})
    overlap = min(8 + extra, size // 2)
    options = PredictOptions(
        size=size, overlap=overlap, blend=blend, probabilities=True, overwrite=True, **EXACT
    )

    run = predict_raster(scene, tmp_path / "out.tif", net, card=card, options=options)

    grid = run.plan.grid
    assert grid.margin >= net.radius
    with torch.no_grad():
        whole = net(torch.from_numpy(mirrored(values, grid))[None])[0].softmax(0)
    steps = whole[:, :height, :width].numpy() * 250
    got = read(tmp_path / "out_probabilities.tif")
    assert np.abs(got - steps).max() <= 0.5 + 1e-2


def mirrored(values: np.ndarray, grid: object) -> np.ndarray:
    from geohier.geo.tiling import TileGrid, reflected

    assert isinstance(grid, TileGrid)
    rows = reflected(0, (grid.rows - 1) * grid.step + grid.size, grid.height)
    columns = reflected(0, (grid.columns - 1) * grid.step + grid.size, grid.width)
    return values[:, rows][:, :, columns]


def test_invalid_pixels_stay_where_they_are_and_nowhere_else(
    write_scene: WriteScene, tmp_path: Path
) -> None:
    """NaN in one band, and nodata in another: nodata there, and the neighbours do not change."""
    truth = np.random.default_rng(1).integers(0, 3, size=(50, 61))
    values = one_hot(truth)
    values[1, 20, 30] = np.nan
    values[0, 5:9, 40:44] = -9999
    scene = write_scene(values, nodata=-9999)

    predict_raster(
        scene,
        tmp_path / "out.tif",
        nn.Identity(),
        card=card_of(3, 3),
        options=PredictOptions(size=16, overlap=6, confidence=True, **EXACT),
    )

    expected = truth.copy()
    expected[20, 30] = 255
    expected[5:9, 40:44] = 255
    np.testing.assert_array_equal(read(tmp_path / "out.tif")[0], expected)
    np.testing.assert_array_equal(read(tmp_path / "out_confidence.tif")[0] == 255, expected == 255)


def test_an_invalid_pixel_counts_as_the_band_s_mean_for_its_neighbours(
    write_scene: WriteScene, tmp_path: Path
) -> None:
    values = np.random.default_rng(2).normal(5, 2, size=(2, 40, 40)).astype("float32")
    filled = values.copy()
    filled[:, 10:20, 10:20] = 5
    values[:, 10:20, 10:20] = np.nan
    bands = tuple(Band(name=name, dtype="float32", mean=5, std=2) for name in "ab")
    card = ModelCard(bands=BandSet(bands), classes=card_of(2, 3).classes)
    options = PredictOptions(size=24, overlap=8, probabilities=True, **EXACT)
    for name, pixels in (("holes", values), ("filled", filled)):
        scene = write_scene(pixels, f"{name}.tif")
        predict_raster(
            scene, tmp_path / f"{name}_out.tif", Convolutions(), card=card, options=options
        )

    holes = read(tmp_path / "holes_out_probabilities.tif")
    whole = read(tmp_path / "filled_out_probabilities.tif")
    hole = np.zeros((40, 40), bool)
    hole[10:20, 10:20] = True
    np.testing.assert_array_equal(holes[:, ~hole], whole[:, ~hole])
    assert (holes[:, hole] == 255).all()


def test_near_infrared_under_an_alpha_tag_is_data(write_scene: WriteScene, tmp_path: Path) -> None:
    values = np.random.default_rng(3).integers(0, 200, size=(4, 40, 40), dtype="uint8")
    scene = write_scene(values, photometric="RGB", alpha="unspecified")
    with rasterio.open(scene, "r+") as raster:
        raster.colorinterp = [*raster.colorinterp[:3], rasterio.enums.ColorInterp.alpha]

    predict_raster(
        scene,
        tmp_path / "out.tif",
        nn.Identity(),
        card=card_of(4, 4),
        options=PredictOptions(size=32, overlap=8, bands=("1", "2", "3", "4"), **EXACT),
    )

    np.testing.assert_array_equal(read(tmp_path / "out.tif")[0], values.argmax(0))


def test_an_alpha_band_hides_pixels(write_scene: WriteScene, tmp_path: Path) -> None:
    values = np.random.default_rng(4).integers(0, 200, size=(4, 40, 40), dtype="uint8")
    values[3] = 255
    values[3, 7:20, 30:] = 0
    scene = write_scene(values, photometric="RGB", alpha="yes")

    predict_raster(
        scene,
        tmp_path / "out.tif",
        nn.Identity(),
        card=card_of(3, 3),
        options=PredictOptions(size=32, overlap=8, bands=("1", "2", "3"), **EXACT),
    )

    expected = values[:3].argmax(0)
    expected[7:20, 30:] = 255
    np.testing.assert_array_equal(read(tmp_path / "out.tif")[0], expected)


@pytest.mark.parametrize("batch_size", [1, 3, 7])
def test_the_batch_size_does_not_change_the_answer(
    write_scene: WriteScene, tmp_path: Path, batch_size: int
) -> None:
    values = np.random.default_rng(5).normal(size=(2, 70, 90)).astype("float32")
    scene = write_scene(values)
    results = []
    for batch in (1, batch_size):
        out = tmp_path / f"batch{batch}.tif"
        options = PredictOptions(
            size=24, overlap=8, batch_size=batch, probabilities=True, overwrite=True, **EXACT
        )
        predict_raster(scene, out, Convolutions(), card=card_of(2, 3), options=options)
        results.append(read(out.with_name(f"{out.stem}_probabilities.tif")).astype(int))
    assert np.abs(results[0] - results[1]).max() <= 1  # scores agree within 1e-4: one step


def test_swaths_of_columns_give_the_bytes_of_the_whole(
    write_scene: WriteScene, tmp_path: Path
) -> None:
    values = np.random.default_rng(6).normal(size=(2, 70, 300)).astype("float32")
    scene = write_scene(values)
    written = []
    for name, memory_gb in (("whole", 4.0), ("swaths", 0.00047)):
        out = tmp_path / f"{name}.tif"
        options = PredictOptions(
            size=32, overlap=8, memory_gb=memory_gb, confidence=True, probabilities=True, **EXACT
        )
        run = predict_raster(scene, out, Convolutions(), card=card_of(2, 3), options=options)
        written.append((read(out), read(tmp_path / f"{name}_probabilities.tif")))
    assert len(run.plan.swaths) > 1
    np.testing.assert_array_equal(written[0][0], written[1][0])
    np.testing.assert_array_equal(written[0][1], written[1][1])


def test_an_interrupted_run_goes_on_and_gives_the_same_bytes(
    write_scene: WriteScene, tmp_path: Path
) -> None:
    values = np.random.default_rng(7).normal(size=(2, 200, 64)).astype("float32")
    scene = write_scene(values)
    options = PredictOptions(size=32, overlap=8, confidence=True, **EXACT)

    class StoppedError(Exception):
        pass

    seen: list[int] = []

    def stop_in_the_middle(done: int, total: int) -> None:
        seen.append(done)
        if done > 0.6 * total:
            raise StoppedError

    card = card_of(2, 3)
    whole, broken = tmp_path / "whole.tif", tmp_path / "broken.tif"
    predict_raster(scene, whole, Convolutions(), card=card, options=options)
    with pytest.raises(StoppedError):
        predict_raster(
            scene, broken, Convolutions(), card=card, options=options, progress=stop_in_the_middle
        )
    assert not broken.exists()
    rest: list[int] = []
    predict_raster(
        scene,
        broken,
        Convolutions(),
        card=card,
        options=options,
        progress=lambda done, total: rest.append(done),
    )
    assert len(rest) < len(seen) + 12, "finished parts were made again"
    assert broken.read_bytes() == whole.read_bytes()
    confidence = "{}_confidence.tif"
    assert (tmp_path / confidence.format("broken")).read_bytes() == (
        tmp_path / confidence.format("whole")
    ).read_bytes()


@pytest.mark.parametrize("memory_gb", [4.0, 0.00047])
@pytest.mark.parametrize("stop_at", [0, 1, 7, 20, 33])
def test_progress_counts_each_pixel_once_and_ends_with_the_last_tile(
    write_scene: WriteScene, tmp_path: Path, memory_gb: float, stop_at: int
) -> None:
    scene = write_scene(np.zeros((2, 70, 300), "float32"))
    options = PredictOptions(size=32, overlap=8, memory_gb=memory_gb, **EXACT)
    seen: list[int] = []

    class StoppedError(Exception):
        pass

    def watch(done: int, total: int) -> None:
        assert total == 70 * 300
        seen.append(done)
        if len(seen) == stop_at + 1:
            raise StoppedError

    def predict() -> None:
        predict_raster(
            scene,
            tmp_path / "out.tif",
            Convolutions(),
            card=card_of(2, 3),
            options=options,
            progress=watch,
        )

    with pytest.raises(StoppedError):
        predict()
    assert seen == sorted(set(seen))
    assert seen[0] == 0
    parts = [rasterio.open(path) for path in tmp_path.glob("out.tif.parts/part-*.tif")]
    finished = sum(part.height * part.width for part in parts)
    stop_at, seen[:] = -1, []
    predict()
    assert seen[0] == finished
    assert [done for done in seen if done == 70 * 300] == [70 * 300] == seen[-1:]
    assert seen == sorted(seen)


def test_a_finished_output_is_up_to_date_until_something_changes(
    write_scene: WriteScene, tmp_path: Path
) -> None:
    values = np.random.default_rng(8).normal(size=(2, 40, 40)).astype("float32")
    scene, out = write_scene(values), tmp_path / "out.tif"
    options = PredictOptions(size=32, overlap=8, **EXACT)
    card = card_of(2, 3)
    first = predict_raster(scene, out, Convolutions(), card=card, options=options)
    again = predict_raster(scene, out, Convolutions(), card=card, options=options)
    assert (first.up_to_date, again.up_to_date) == (False, True)

    before = out.read_bytes()
    with pytest.raises(OutputExistsError):
        predict_raster(scene, out, Convolutions(seed=1), card=card, options=options)
    assert out.read_bytes() == before


def test_an_input_that_changes_while_it_is_read_is_told(
    write_scene: WriteScene, tmp_path: Path
) -> None:
    values = np.random.default_rng(9).normal(size=(2, 80, 40)).astype("float32")
    scene = write_scene(values)

    def touch(done: int, total: int) -> None:
        with rasterio.open(scene, "r+") as raster:
            raster.update_tags(changed=str(done))

    with pytest.raises(InputError, match="was changed while it was read"):
        predict_raster(
            scene,
            tmp_path / "out.tif",
            Convolutions(),
            card=card_of(2, 3),
            options=PredictOptions(size=32, overlap=8, **EXACT),
            progress=touch,
        )
    assert not (tmp_path / "out.tif").exists()


def test_damaged_blocks_become_nodata_and_are_listed(
    write_scene: WriteScene, tmp_path: Path
) -> None:
    truth = np.random.default_rng(10).integers(0, 3, size=(64, 64))
    scene = write_scene(
        one_hot(truth), tiled=True, blockxsize=16, blockysize=16, compress="deflate"
    )
    spoil_block(scene, row=16, column=32)
    options = PredictOptions(size=32, overlap=8, **EXACT)
    card = card_of(3, 3)

    run = predict_raster(scene, tmp_path / "out.tif", nn.Identity(), card=card, options=options)

    expected = truth.copy()
    expected[16:32, 32:48] = 255
    np.testing.assert_array_equal(read(tmp_path / "out.tif")[0], expected)
    assert run.exit_code == 6
    record = json.loads((tmp_path / "out.tif.run.json").read_text())
    assert [f["unreadable_block"]["row_off"] for f in record["failures"]] == [16]
    with pytest.raises(
        RasterReadError,
        match="1 block cannot be read, at row 16, column 32; without --strict",
    ):
        predict_raster(
            scene,
            tmp_path / "strict.tif",
            nn.Identity(),
            card=card,
            options=PredictOptions(size=32, overlap=8, strict=True, **EXACT),
        )


def spoil_block(path: Path, row: int, column: int) -> None:
    """Overwrite the compressed bytes of the block that holds a pixel."""
    with rasterio.open(path) as raster:
        height, width = raster.block_shapes[0]
        name = f"BLOCK_OFFSET_{column // width}_{row // height}"
        offset = int(raster.get_tag_item(name, "TIFF", bidx=1))
    data = bytearray(path.read_bytes())
    data[offset + 2 : offset + 40] = b"\xff" * 38
    path.write_bytes(data)


def test_pixels_outside_the_area_of_interest_get_no_answer(
    write_scene: WriteScene, tmp_path: Path
) -> None:
    import geopandas
    from shapely.geometry import box

    truth = np.random.default_rng(11).integers(0, 3, size=(60, 60))
    scene = write_scene(one_hot(truth))
    with rasterio.open(scene) as raster:
        left, top = raster.transform @ (20, 10)
        right, bottom = raster.transform @ (45, 38)
    area = geopandas.GeoDataFrame(geometry=[box(left, bottom, right, top)], crs="EPSG:32631")
    area.to_file(tmp_path / "area.gpkg")
    seen: list[int] = []

    class Counting(nn.Module):
        def forward(self, pixels: Tensor) -> Tensor:
            seen.append(len(pixels))
            return pixels

    predict_raster(
        scene,
        tmp_path / "out.tif",
        Counting(),
        card=card_of(3, 3),
        options=PredictOptions(size=16, overlap=0, aoi=tmp_path / "area.gpkg", **EXACT),
    )

    expected = np.full((60, 60), 255)
    expected[10:38, 20:45] = truth[10:38, 20:45]
    np.testing.assert_array_equal(read(tmp_path / "out.tif")[0], expected)
    assert sum(seen) == 6  # of 16 tiles: rows 0-2, columns 1-2


def test_averaging_over_the_symmetries_makes_the_answer_symmetric(
    write_scene: WriteScene, tmp_path: Path
) -> None:
    values = np.random.default_rng(12).normal(size=(2, 32, 32)).astype("float32")
    options = PredictOptions(size=32, overlap=0, symmetric=True, probabilities=True, **EXACT)
    results = []
    for turns in (0, 1):
        scene = write_scene(np.rot90(values, turns, (1, 2)).copy(), f"turned{turns}.tif")
        out = tmp_path / f"out{turns}.tif"
        predict_raster(scene, out, Convolutions(), card=card_of(2, 3), options=options)
        results.append(read(tmp_path / f"out{turns}_probabilities.tif").astype(int))
    assert np.abs(np.rot90(results[0], 1, (1, 2)) - results[1]).max() <= 1


class OutOfMemory(nn.Module):
    """Fails above a batch of `fits`, as a full GPU does."""

    def __init__(self, fits: int) -> None:
        super().__init__()
        self.fits = fits

    def forward(self, pixels: Tensor) -> Tensor:
        if len(pixels) > self.fits:
            raise torch.OutOfMemoryError("out of memory")
        return pixels


def test_a_batch_that_does_not_fit_is_halved_and_the_run_says_so(
    write_scene: WriteScene, tmp_path: Path
) -> None:
    truth = np.random.default_rng(13).integers(0, 3, size=(40, 100))
    scene = write_scene(one_hot(truth))
    options = PredictOptions(size=16, overlap=0, batch_size=8, **EXACT)

    run = predict_raster(
        scene, tmp_path / "out.tif", OutOfMemory(3), card=card_of(3, 3), options=options
    )

    np.testing.assert_array_equal(read(tmp_path / "out.tif")[0], truth)
    assert {"batch_size": 3} in [dict(note) for note in run.run.notes]
    with pytest.raises(ResourceError, match="one tile of 16 px does not fit"):
        predict_raster(
            scene, tmp_path / "none.tif", OutOfMemory(0), card=card_of(3, 3), options=options
        )


class Constant(nn.Module):
    def __init__(self, value: float, classes: int = 3) -> None:
        super().__init__()
        self.value, self.classes = value, classes

    def forward(self, pixels: Tensor) -> Tensor:
        return pixels.new_full((len(pixels), self.classes, *pixels.shape[-2:]), self.value)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Constant(float("nan")), "not finite"),
        (Constant(float("inf")), "not finite"),
        (Constant(0.0, classes=5), r"shape \(1, 5, 32, 32\)"),
    ],
)
def test_scores_that_cannot_be_right_stop_the_run(
    write_scene: WriteScene, tmp_path: Path, model: nn.Module, message: str
) -> None:
    scene = write_scene(np.zeros((2, 40, 40), "float32"))
    with pytest.raises(ModelError, match=message):
        predict_raster(
            scene,
            tmp_path / "out.tif",
            model,
            card=card_of(2, 3),
            options=PredictOptions(size=32, overlap=8, **EXACT),
        )
    assert not (tmp_path / "out.tif").exists()


@pytest.mark.parametrize(
    ("card", "names", "options", "error", "message"),
    [
        ({}, ("x", "y"), {}, BandMismatchError, "the raster's bands are x y"),
        ({"gsd_m": (0.5, 1.0)}, (), {}, ModelError, "GSD of 10 m"),
        ({}, (), {"size": 30, "overlap": 4}, ConfigError, "no multiple of the model's stride"),
        ({}, (), {"bands": ("1",)}, BandMismatchError, "--bands names 1 bands"),
        ({}, (), {"bands": ("1", "7")}, BandMismatchError, "no band 7"),
        ({}, (), {"thresholds": {"roof": 0.5}}, ConfigError, "no class 'roof'"),
        ({}, (), {"device": "cuda:7"}, ResourceError, "cuda:7"),
        ({}, (), {"device": "tpu"}, ConfigError, "'tpu' is not known"),
    ],
)
def test_what_does_not_fit_the_model_is_refused_before_any_work(
    write_scene: WriteScene,
    tmp_path: Path,
    card: dict[str, object],
    names: tuple[str, ...],
    options: dict[str, object],
    error: type[Exception],
    message: str,
) -> None:
    scene = write_scene(np.zeros((2, 40, 40), "float32"), descriptions=names)
    with pytest.raises(error, match=message):
        predict_raster(
            scene,
            tmp_path / "out.tif",
            Convolutions(),
            card=card_of(2, 3, stride=4, **card),
            options=PredictOptions(**{"precision": "fp32", "device": "cpu", **options}),
        )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scene.tif"]


def test_values_in_other_units_are_refused_unless_forced(
    write_scene: WriteScene, tmp_path: Path
) -> None:
    scene = write_scene(np.full((1, 40, 40), 9000, "uint16"))
    band = Band(name="red", dtype="uint8", mean=90, std=40, low=10, high=200)
    card = ModelCard(bands=BandSet((band,)), classes=card_of(2, 2).classes)
    options = {"size": 32, "overlap": 8, **EXACT}
    with pytest.raises(ModelError, match="uint16 values of band red reach 9000"):
        predict_raster(
            scene, tmp_path / "o.tif", Constant(0, 2), card=card, options=PredictOptions(**options)
        )
    predict_raster(
        scene,
        tmp_path / "o.tif",
        Constant(0, 2),
        card=card,
        options=PredictOptions(**options, force_scale=True),
    )


def test_bands_are_taken_by_name_whatever_their_order(
    write_scene: WriteScene, tmp_path: Path
) -> None:
    truth = np.random.default_rng(14).integers(0, 3, size=(30, 30))
    scene = write_scene(one_hot(truth)[[2, 0, 1]], descriptions=("c", "a", "b"))
    predict_raster(
        scene,
        tmp_path / "out.tif",
        nn.Identity(),
        card=card_of(3, 3),
        options=PredictOptions(size=16, overlap=4, **EXACT),
    )
    np.testing.assert_array_equal(read(tmp_path / "out.tif")[0], truth)


@given(st.sets(st.integers(0, 30)))
def test_rows_to_finish_come_in_runs_with_the_row_above(asked: set[int]) -> None:
    runs = list(with_row_above(sorted(asked)))
    assert [row for run in runs for row in run.rows if row >= run.asked_from] == sorted(asked)
    assert all(run.rows.start == max(run.asked_from - 1, 0) for run in runs)
