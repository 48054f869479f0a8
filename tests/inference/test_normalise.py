"""A model that normalises by the scene's own statistics, where training and prediction agree."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from small_models import COLOURS, Echo

from geohier.inference.job import TOO_LITTLE
from geohier.inference.options import PredictOptions
from geohier.inference.pipeline import Prediction, predict_raster
from geohier.raster.mosaic import open_mosaic

WriteScene = Callable[..., Path]
ORIGIN = Affine(10, 0, 500_000, 0, -10, 5_000_000)


def colours(height: int = 150, width: int = 130) -> np.ndarray:
    """Bands with means and deviations of their own."""
    rng = np.random.default_rng(0)
    bands = [rng.normal(mean, std, (height, width)) for mean, std in ((60, 9), (90, 20), (70, 5))]
    return np.clip(bands, 1, 255).astype("uint8")


def standardised(values: np.ndarray) -> np.ndarray:
    mean, std = values.mean(axis=(1, 2)), values.std(axis=(1, 2))
    return (values - mean[:, None, None]) / std[:, None, None]


@pytest.fixture
def predict(tmp_path: Path) -> Callable:
    """Return a function that has the brightest band named, each normalised as is asked for."""

    def command(
        source: object, name: str = "map.tif", **card: object
    ) -> tuple[Prediction, np.ndarray]:
        echo = Echo()
        options = PredictOptions(size=32, overlap=8, device="cpu", precision="fp32")
        done = predict_raster(
            source, tmp_path / name, echo, card=replace(echo.card, **card), options=options
        )
        with rasterio.open(tmp_path / name) as file:
            return done, file.read(1)

    return command


def test_each_band_is_brought_to_mean_0_and_deviation_1_of_the_scene(
    write_scene: WriteScene, predict: Callable
) -> None:
    path = write_scene(colours(), descriptions=COLOURS)
    _, own = predict(path, "own.tif", normalise="scene")
    _, trained = predict(path, "trained.tif")
    np.testing.assert_array_equal(own, standardised(colours()).argmax(axis=0))
    np.testing.assert_array_equal(trained, colours().argmax(axis=0))


def test_a_darker_flight_in_other_units_gives_the_same_map(
    write_scene: WriteScene, predict: Callable
) -> None:
    bright = write_scene(colours(), "bright.tif", descriptions=COLOURS)
    dark = write_scene(
        colours().astype("uint16") * np.array([2, 4, 8], "uint16")[:, None, None] + 64,
        "dark.tif",
        descriptions=COLOURS,
    )
    _, one = predict(bright, "one.tif", normalise="scene")
    _, other = predict(dark, "other.tif", normalise="scene", scaled=True)
    np.testing.assert_array_equal(one, other)


def test_a_scene_cut_in_sheets_gives_the_map_of_the_uncut_one(
    write_scene: WriteScene, predict: Callable
) -> None:
    values = colours()
    _, whole = predict(write_scene(values, "w.tif", descriptions=COLOURS), normalise="scene")
    sheets = [
        write_scene(
            values[:, start:stop],
            f"{start}.tif",
            transform=ORIGIN @ Affine.translation(0, start),
            descriptions=COLOURS,
        )
        for start, stop in ((0, 70), (70, 150))
    ]
    with open_mosaic(sheets) as mosaic:
        _, cut = predict(mosaic, "cut.tif", normalise="scene")
    np.testing.assert_array_equal(cut, whole)


def test_a_scene_that_says_too_little_is_normalised_as_the_train_scenes(
    write_scene: WriteScene, predict: Callable
) -> None:
    values = colours(20, 20)
    done, labels = predict(write_scene(values, descriptions=COLOURS), normalise="scene")
    assert TOO_LITTLE in done.notes
    np.testing.assert_array_equal(labels, values.argmax(axis=0))
