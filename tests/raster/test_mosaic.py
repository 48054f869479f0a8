"""Rasters cut into sheets read as if they had never been cut."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest
import rasterio
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from rasterio.enums import ColorInterp

from geohier.errors import InputError
from geohier.geo.window import Window
from geohier.raster import mosaic as mosaic_module
from geohier.raster import sample as sample_module
from geohier.raster.access import BlockReadError
from geohier.raster.mosaic import open_mosaic
from geohier.raster.sample import sample_windows

WriteScene = Callable[..., Path]
ORIGIN = Affine(10, 0, 500_000, 0, -10, 5_000_000)


def at(row: float, col: float) -> Affine:
    return ORIGIN @ Affine.translation(col, row)


@pytest.fixture
def uncut() -> np.ndarray:
    return np.random.default_rng(0).integers(1, 255, (2, 40, 60)).astype("uint8")


@pytest.fixture
def sheets(write_scene: WriteScene, uncut: np.ndarray) -> list[Path]:
    """Four sheets that cover all but the last 10 columns of the lower half, two of them overlap."""
    cuts = [(0, 25, 0, 60), (25, 40, 0, 20), (25, 40, 20, 50), (20, 30, 5, 30)]
    return [
        write_scene(uncut[:, a:b, c:d], f"{n}.tif", transform=at(a, c), tiled=True,
                    blockxsize=16, blockysize=16)
        for n, (a, b, c, d) in enumerate(cuts)
    ]  # fmt: skip


@given(
    row=st.integers(0, 39), col=st.integers(0, 59), height=st.integers(1, 40),
    width=st.integers(1, 60), order=st.permutations(range(4)),
)  # fmt: skip
def test_a_mosaic_reads_like_the_uncut_raster(
    sheets: list[Path],
    uncut: np.ndarray,
    row: int,
    col: int,
    height: int,
    width: int,
    order: list[int],
) -> None:
    window = Window(row_off=row, col_off=col, height=height, width=width)
    window = window.clipped(height=40, width=60)
    covered = np.ones((40, 60), bool)
    covered[25:, 50:] = False

    with open_mosaic([sheets[n] for n in order]) as source:
        reader = source.select([1, 0])
        pixels = reader.read(window)
        assert reader.may_hold_data(window) == covered[window.slices].any()

    assert source.geobox.shape == (40, 60)
    assert source.geobox.affine == ORIGIN
    np.testing.assert_array_equal(pixels.valid[0], covered[window.slices])
    truth = uncut[::-1][:, *window.slices]
    np.testing.assert_array_equal(pixels.values[:, pixels.valid[0]], truth[:, pixels.valid[0]])


def test_the_first_valid_pixel_wins(write_scene: WriteScene) -> None:
    first = np.array([[[1, 0, 1]]], "uint8")
    second = np.array([[[2, 2, 0]]], "uint8")
    paths = [write_scene(v, f"{n}.tif", nodata=0) for n, v in enumerate([first, second])]

    with open_mosaic(paths) as source:
        pixels = source.select([0]).read(Window(row_off=0, col_off=0, height=1, width=3))

    np.testing.assert_array_equal(pixels.values, [[[1, 2, 1]]])
    assert pixels.valid.all()


def test_each_sheet_has_its_own_nodata(write_scene: WriteScene) -> None:
    left = write_scene(np.array([[[9, 5]]], "uint8"), "left.tif", nodata=9)
    right = write_scene(np.array([[[9, 7]]], "uint8"), "right.tif", nodata=7, transform=at(0, 2))

    with open_mosaic([left, right]) as source:
        pixels = source.select([0]).read(Window(row_off=0, col_off=0, height=1, width=4))

    np.testing.assert_array_equal(pixels.valid[0, 0], [False, True, True, False])


def test_the_grid_reaches_over_sheets_above_and_left_of_the_first(write_scene: WriteScene) -> None:
    first = write_scene(np.full((1, 2, 2), 1, "uint8"), "first.tif")
    other = write_scene(np.full((1, 2, 2), 2, "uint8"), "other.tif", transform=at(-3, -1))

    with open_mosaic([first, other], name="both") as source:
        assert source.name == "both"
        assert source.geobox.shape == (5, 3)
        assert source.geobox.affine.almost_equals(at(-3, -1))
        pixels = source.select([0]).read(Window(row_off=0, col_off=0, height=5, width=3))

    wanted = [[2, 2, 0], [2, 2, 0], [0, 0, 0], [0, 1, 1], [0, 1, 1]]
    np.testing.assert_array_equal(pixels.values[0], wanted)
    np.testing.assert_array_equal(pixels.valid[0], np.array(wanted) > 0)


def test_few_files_are_open_at_once(
    write_scene: WriteScene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def held() -> int:
        open_files = psutil.Process().open_files()
        return sum(Path(file.path).parent == tmp_path for file in open_files)

    monkeypatch.setattr(mosaic_module, "MAX_OPEN_FILES", 3)
    paths = [
        write_scene(np.full((1, 4, 4), n + 1, "uint8"), f"{n}.tif", transform=at(0, 4 * n))
        for n in range(10)
    ]

    with open_mosaic(paths) as source:
        reader = source.select([0])
        for _ in range(2):
            row = reader.read(Window(row_off=0, col_off=0, height=4, width=40)).values[0, 0]
            np.testing.assert_array_equal(row, np.arange(1, 11).repeat(4))
            assert held() == 3
    assert held() == 0


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"crs": "EPSG:32632"}, "is in EPSG:32632, but .*first.tif in EPSG:32631"),
        ({"transform": Affine(10.1, 0, 500_000, 0, -10.1, 5_000_000)}, "pixels of 10.1 x -10.1"),
        ({"transform": at(0.3, 5)}, r"lies \+0.30 rows and \+0.00 columns off"),
        ({"dtype": "uint16"}, "bands unnamed uint16, but .*first.tif has unnamed uint8"),
        ({"descriptions": ("nir",)}, "bands nir uint8"),
    ],
)
def test_a_sheet_of_another_grid_is_named(
    write_scene: WriteScene, change: dict[str, object], says: str
) -> None:
    first = write_scene(np.zeros((1, 8, 8), "uint8"), "first.tif")
    values = np.zeros((1, 8, 8), change.pop("dtype", "uint8"))
    odd = write_scene(values, "odd.tif", **change)

    with pytest.raises(InputError, match=f"odd.tif .*{says}"):
        open_mosaic([first, odd])


def test_pixels_that_agree_within_rounding_are_one_grid(write_scene: WriteScene) -> None:
    first = write_scene(np.zeros((1, 8, 8), "uint8"), "first.tif")
    near = write_scene(np.zeros((1, 8, 8), "uint8"), "near.tif", transform=at(8.0004, -0.0003))

    with open_mosaic([first, near]) as source:
        assert source.geobox.shape == (16, 8)


def test_a_mosaic_too_large_is_refused(write_scene: WriteScene) -> None:
    first = write_scene(np.zeros((1, 8, 8), "uint8"), "first.tif")
    far = write_scene(np.zeros((1, 8, 8), "uint8"), "far.tif", transform=at(10**6, 10**6))

    with pytest.raises(InputError, match="spans 1000008 x 1000008 px"):
        open_mosaic([first, far], max_pixels=10**9)


def test_a_damaged_sheet_is_lost_block_by_block_and_named_in_the_mosaics_pixels(
    sheets: list[Path], uncut: np.ndarray
) -> None:
    content = bytearray(sheets[2].read_bytes())
    sheets[2].write_bytes(content[: -16 * 16 * 2])  # its last block: rows 25-40, columns 36-50
    window = Window(row_off=10, col_off=0, height=30, width=60)

    with open_mosaic(sheets) as source:
        reader = source.select([0, 1])
        with pytest.raises(BlockReadError) as caught:
            reader.read(window)
        pixels, failed = reader.read_salvaged(window)

    assert caught.value.window == Window(row_off=25, col_off=20, height=15, width=30)
    assert failed == (Window(row_off=25, col_off=36, height=15, width=14),)
    covered = np.ones((40, 60), bool)
    covered[25:, 36:] = False
    np.testing.assert_array_equal(pixels.valid[0], covered[10:])
    np.testing.assert_array_equal(
        pixels.values[:, pixels.valid[0]], uncut[:, 10:][:, pixels.valid[0]]
    )


def test_sheets_are_looked_into_only_when_notes_are_asked_for(
    sheets: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No nodata is declared, so that a reader's notes tell of zeros, which it has to decode."""
    looked = []

    def watched(*given: object) -> list[Window]:
        looked.append(given)
        return sample_windows(*given)

    monkeypatch.setattr(sample_module, "sample_windows", watched)
    with open_mosaic(sheets) as source:
        reader = source.select([0, 1])
        reader.read(Window(row_off=0, col_off=0, height=40, width=60))
        assert looked == []
        assert reader.notes == ("4 rasters are read as one",)
        assert len(looked) == 1


def rgba(write_scene: WriteScene, number: int, alpha: str) -> Path:
    """Write a sheet whose fourth band is tagged alpha and is so, is near infrared, or untagged."""
    values = np.random.default_rng(number).integers(1, 250, (4, 16, 16)).astype("uint8")
    if alpha == "real":
        values[3] = 255
    path = write_scene(values, f"sheet{number}.tif", transform=at(0, 16 * number))
    if alpha != "untagged":
        with rasterio.open(path, "r+") as target:
            target.colorinterp = [*target.colorinterp[:3], ColorInterp.alpha]
    return path


@pytest.mark.parametrize(
    ("kinds", "differing"),
    [
        (("real", "real", "real"), None),
        (("infrared", "untagged", "infrared"), None),
        (("real", "real", "infrared"), "1 of 3 rasters judges alpha otherwise than the first"),
        (("infrared", "real", "real"), "2 of 3 rasters judge alpha otherwise than the first"),
        (("real", "untagged", "real"), "1 of 3 rasters judges alpha otherwise than the first"),
        (("untagged", "untagged", "real"), "1 of 3 rasters judges alpha otherwise than the first"),
    ],
)
def test_a_sheet_that_judges_alpha_otherwise_is_noted(
    write_scene: WriteScene, kinds: tuple[str, ...], differing: str | None
) -> None:
    paths = [rgba(write_scene, number, kind) for number, kind in enumerate(kinds)]
    with open_mosaic(paths) as source:
        noted = [note for note in source.select([0, 1, 2]).notes if "otherwise" in note]
        settled = source.select([0, 1, 2], alpha="none").notes
    assert settled == ("3 rasters are read as one",)
    if differing is None:
        assert noted == []
    else:
        odd = next(n for n, kind in enumerate(kinds) if (kind == "real") != (kinds[0] == "real"))
        advice = "use --alpha band, or --alpha none"
        assert noted == [f"{differing}, such as sheet{odd}.tif: {advice}"]
