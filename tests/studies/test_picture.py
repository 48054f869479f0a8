"""Pictures of results, and the small rasters they are drawn from."""

from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.image import imread

from geohier.errors import ResourceError
from geohier.geo.window import Window
from geohier.studies import thumbnail
from geohier.studies.picture import draw_result, round_length
from geohier.studies.thumbnail import read_colors, sample_classes, small_shape

Write = Callable[..., Path]


@given(st.integers(1, 70), st.integers(1, 70), st.integers(1, 80), st.integers(0, 99))
def test_a_thumbnail_shows_the_pixel_in_the_middle_of_each_cell(
    height: int, width: int, longest: int, seed: int
) -> None:
    """Whatever windows it was read by."""
    full = np.random.default_rng(seed).integers(0, 9, size=(height, width), dtype=np.int32)
    shape = small_shape(height, width, longest)
    assert max(shape) <= max(longest, 1)

    def read(window: Window) -> np.ndarray:
        return full[window.slices]

    small = sample_classes(read, (height, width), shape)

    rows = (np.arange(shape[0]) + 0.5) * height // shape[0]
    columns = (np.arange(shape[1]) + 0.5) * width // shape[1]
    np.testing.assert_array_equal(small, full[np.ix_(rows.astype(int), columns.astype(int))])


def test_thumbnails_do_not_depend_on_the_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    full = np.random.default_rng(0).integers(0, 9, size=(1300, 700), dtype=np.int32)
    before = sample_classes(lambda w: full[w.slices], full.shape, (130, 70))
    halves = [
        Window(row_off=row, col_off=col, height=650, width=350)
        for row in (0, 650)
        for col in (0, 350)
    ]
    monkeypatch.setattr(thumbnail, "windows", lambda height, width: halves)
    np.testing.assert_array_equal(
        sample_classes(lambda w: full[w.slices], full.shape, (130, 70)), before
    )


def test_colours_are_taken_by_name_and_nodata_is_transparent(write_scene: Write) -> None:
    values = np.zeros((4, 2, 2), "float32")
    values[3] = [[0, 100], [100, 100]]  # red stands last
    values[:, 1, 1] = np.nan
    path = write_scene(values, descriptions=("nir", "blue", "green", "red"))
    colors = read_colors(path, (2, 2))
    assert colors[..., 3].tolist() == [[1, 1], [1, 0]]
    assert colors[0, 1, :3].tolist() == [1, 0, 0]


def test_a_picture_holds_image_prediction_truth_and_errors(
    write_classes: Write, write_scene: Write, tmp_path: Path
) -> None:
    """Four panels side by side; the error panel is blue where a building was missed."""
    truth = np.zeros((60, 50), "uint8")
    truth[20:40, 20:40] = 1
    settings = dict(mpl.rcParams)
    target = draw_result(
        tmp_path / "new" / "picture.png",
        write_classes(np.zeros((60, 50))),
        image=write_scene(np.random.default_rng(0).integers(0, 255, (3, 60, 50), dtype="uint8")),
        truth=write_scene(truth[None], "truth.tif"),
        title="a scene",
    )
    pixels = imread(target)[..., :3]
    missed = np.isclose(pixels, [0x2C / 255, 0x7B / 255, 0xB6 / 255], atol=0.01).all(axis=-1)
    columns = np.flatnonzero(missed.sum(axis=0) > 20)
    assert columns.min() > 0.75 * pixels.shape[1]
    assert pixels.shape[1] > 2 * pixels.shape[0]
    assert dict(mpl.rcParams) == settings


def test_equal_results_give_equal_pictures(write_classes: Write, tmp_path: Path) -> None:
    prediction = write_classes(np.eye(20))
    one = draw_result(tmp_path / "one.png", prediction)
    other = draw_result(tmp_path / "other.png", prediction)
    assert one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize(
    "place",
    [
        {"crs": None, "transform": Affine.identity()},
        {"transform": Affine(10, 0, 5e5, 0, 10, 5e6)},
        {"transform": Affine(1e-4, 0, 7, 0, -1e-4, 50), "crs": "EPSG:4326"},
        {"transform": Affine.translation(5e5, 5e6) @ Affine.rotation(30) @ Affine.scale(10, -10)},
    ],
)
@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_odd_rasters_can_be_drawn(
    write_classes: Write, tmp_path: Path, place: dict[str, object]
) -> None:
    prediction = write_classes(np.full((3, 400), 255), **place)
    assert draw_result(tmp_path / "odd.png", prediction, truth=prediction).exists()


def test_a_picture_that_cannot_be_written_says_so(write_classes: Write, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ResourceError, match=r"picture.png cannot be written"):
        draw_result(tmp_path / "file" / "picture.png", write_classes(np.zeros((3, 3))))


@given(st.floats(1e-3, 1e7))
def test_a_scale_bar_has_a_round_length_that_fits(longest: float) -> None:
    length = round_length(longest)
    assert longest / 2.5 - 1e-9 <= length <= longest * (1 + 1e-9)
