"""Odd rasters on disk: what is read of them, and which pixels are valid."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from rasterio._env import get_gdal_config
from rasterio.control import GroundControlPoint
from rasterio.enums import ColorInterp

from geohier.errors import ConfigError, InputError
from geohier.geo.window import Window
from geohier.raster.access import BlockCache, BlockReadError
from geohier.raster.reader import open_raster
from geohier.raster.source import Pixels

WriteScene = Callable[..., Path]


def whole(path: Path, indexes: list[int] | None = None, **options: object) -> Pixels:
    rules = {key: options.pop(key) for key in ("valid", "alpha") if key in options}
    with open_raster(path, **options) as source:
        chosen = list(range(len(source.bands))) if indexes is None else indexes
        height, width = source.geobox.shape
        window = Window(row_off=0, col_off=0, height=height, width=width)
        return source.select(chosen, **rules).read(window)


def notes(path: Path, indexes: list[int], **rules: object) -> str:
    with open_raster(path) as source:
        return "; ".join(source.select(indexes, **rules).notes)


def tag_alpha(path: Path, band: int) -> None:
    with rasterio.open(path, "r+") as target:
        colours = list(target.colorinterp)
        colours[band - 1] = ColorInterp.alpha
        target.colorinterp = colours


LAYOUTS = {
    "striped": {},
    "one strip, deflate": {"blockysize": 70, "compress": "deflate"},
    "planar": {"interleave": "band"},
    "planar tiles": {"interleave": "band", "tiled": True, "blockxsize": 16, "blockysize": 32},
    "tiles": {"tiled": True, "blockxsize": 32, "blockysize": 16, "compress": "lzw"},
    "zstd, predictor": {"compress": "zstd", "predictor": 2, "tiled": True},
    "big": {"BIGTIFF": "YES"},
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "float32", "int32", "float64"])
def test_any_window_of_any_layout_is_what_was_written(
    write_scene: WriteScene, layout: str, dtype: str
) -> None:
    values = np.random.default_rng(0).integers(0, 200, (3, 70, 45)).astype(dtype)
    path = write_scene(values, **LAYOUTS[layout])

    with open_raster(path) as source:
        reader = source.select([2, 0])
        for row, col, height, width in [(0, 0, 70, 45), (3, 7, 41, 5), (69, 44, 1, 1)]:
            window = Window(row_off=row, col_off=col, height=height, width=width)
            pixels = reader.read(window)
            np.testing.assert_array_equal(pixels.values, values[[2, 0]][:, *window.slices])
            assert pixels.values.dtype == reader.dtype == np.dtype(dtype)
            assert pixels.valid.shape == (1, height, width)
            assert pixels.valid.all()
            assert reader.may_hold_data(window)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1)])
def test_the_smallest_rasters_read(write_scene: WriteScene, shape: tuple[int, int]) -> None:
    values = np.arange(9, dtype="uint8")[None, : np.prod(shape)].reshape(1, *shape)

    np.testing.assert_array_equal(whole(write_scene(values)).values, values)


@pytest.mark.parametrize(
    "transform",
    [
        Affine.translation(5e5, 5e6) @ Affine.rotation(15) @ Affine.scale(2, -2),
        Affine(10, 0, 500_000, 0, 10, 5_000_000),
        Affine(3, 0, 500_000, 0, -7, 5_000_000),
    ],
    ids=["rotated", "south-up", "oblong"],
)
def test_the_grid_is_the_files_own(write_scene: WriteScene, transform: Affine) -> None:
    path = write_scene(np.zeros((1, 4, 6), "uint8"), transform=transform)

    with open_raster(path) as source:
        assert source.geobox.shape == (4, 6)
        assert source.geobox.affine.almost_equals(transform)
        assert source.geobox.crs == "EPSG:32631"


def test_declared_nodata_and_an_override_mark_pixels(write_scene: WriteScene) -> None:
    values = np.array([[[1, 2], [3, 4]], [[5, 6], [7, 1]]], "uint8")
    path = write_scene(values, nodata=1)

    np.testing.assert_array_equal(whole(path).valid[0], [[False, True], [True, False]])
    np.testing.assert_array_equal(whole(path, [0]).valid[0], [[False, True], [True, True]])
    np.testing.assert_array_equal(whole(path, nodata=7).valid[0], [[True, True], [False, True]])


def test_bands_that_are_valid_apart_are_told_apart_only_on_request(
    write_scene: WriteScene,
) -> None:
    values = np.array([[[1, 2]], [[3, 1]], [[1, 1]]], "uint8").repeat(3, axis=1)
    path = write_scene(values, nodata=1)

    valid = whole(path, [0, 1], valid="any").valid

    np.testing.assert_array_equal(valid, values[:2] != 1)
    assert whole(path, [0, 1], valid="all").valid.shape == (1, 3, 2)


@pytest.mark.parametrize("nodata", [None, float("nan"), -9999.0])
def test_nan_and_infinity_are_never_valid(write_scene: WriteScene, nodata: float | None) -> None:
    values = np.ones((2, 3, 3), "float32")
    values[0, 0, 0], values[1, 1, 1], values[1, 2, 2] = np.nan, np.inf, -9999
    path = write_scene(values, nodata=nodata)

    valid = whole(path).valid[0]

    wrong = {(0, 0), (1, 1)} | ({(2, 2)} if nodata == -9999 else set())
    assert set(zip(*np.nonzero(~valid), strict=True)) == wrong


def test_a_nodata_value_that_float32_rounds_is_still_found(write_scene: WriteScene) -> None:
    values = np.full((1, 2, 2), 0.1, "float32")

    assert not whole(write_scene(values, nodata=0.1)).valid.any()


def test_a_nodata_value_that_does_not_fit_is_refused_or_noted(write_scene: WriteScene) -> None:
    path = write_scene(np.ones((1, 2, 2), "uint8"))

    with pytest.raises(ConfigError, match="holds uint8, which cannot be nodata -9999"):
        open_raster(path, nodata=-9999)


def test_a_mask_beside_the_file_and_one_inside_it_are_honoured(write_scene: WriteScene) -> None:
    values = np.ones((2, 4, 4), "uint8")
    mask = np.eye(4, dtype="uint8") * 255
    for inside in (True, False):
        path = write_scene(values, f"inside-{inside}.tif")
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=inside), rasterio.open(path, "r+") as target:
            target.write_mask(mask)
        assert path.with_suffix(".tif.msk").exists() is not inside
        np.testing.assert_array_equal(whole(path).valid[0], mask > 0)


def test_a_real_alpha_band_is_a_mask(write_scene: WriteScene) -> None:
    values = np.full((4, 40, 40), 7, "uint8")
    values[3] = 255
    values[3, :10] = 0
    values[3, 10, :5] = 120  # a soft edge
    path = write_scene(values)
    tag_alpha(path, 4)

    valid = whole(path, [0, 1, 2]).valid[0]

    np.testing.assert_array_equal(valid, values[3] > 0)
    assert "band 4 is used as alpha" in notes(path, [0, 1, 2])
    assert whole(path, [0, 1, 2], alpha="none").valid.all()


def test_alpha_and_nodata_both_count(write_scene: WriteScene) -> None:
    values = np.full((4, 2, 2), 7, "uint8")
    values[3] = [[255, 0], [255, 255]]
    values[0, 1, 0] = 3
    path = write_scene(values, nodata=3)
    tag_alpha(path, 4)

    for rule in ("all", "any"):
        valid = whole(path, [0], valid=rule).valid[0]
        np.testing.assert_array_equal(valid, [[True, False], [False, True]])


def test_near_infrared_under_an_alpha_tag_is_data(write_scene: WriteScene) -> None:
    values = np.random.default_rng(0).integers(0, 256, (4, 40, 40)).astype("uint8")
    path = write_scene(values)
    tag_alpha(path, 4)

    assert whole(path, [0, 1, 2]).valid.all()
    pixels = whole(path, [0, 1, 2, 3])
    assert pixels.valid.all()
    np.testing.assert_array_equal(pixels.values, values)
    assert "not used as a mask" in notes(path, [0, 1, 2])
    np.testing.assert_array_equal(whole(path, [0, 1, 2], alpha="band").valid[0], values[3] > 0)


def test_a_mostly_empty_near_infrared_band_is_not_alpha(write_scene: WriteScene) -> None:
    values = np.zeros((4, 40, 40), "uint8")
    values[:, :4] = np.random.default_rng(0).integers(1, 255, (4, 4, 40))
    path = write_scene(values)
    tag_alpha(path, 4)

    assert whole(path, [0, 1, 2]).valid.all()


def test_alpha_that_is_read_as_data_is_no_mask(write_scene: WriteScene) -> None:
    path = write_scene(np.zeros((4, 5, 5), "uint8"))
    tag_alpha(path, 4)

    assert whole(path, [0, 1, 2, 3]).valid.all()
    with pytest.raises(ConfigError, match="no band is left to be alpha"):
        whole(path, [0, 1, 2, 3], alpha="band")


@pytest.mark.parametrize(("zero_rows", "noted"), [(1, False), (20, True)])
def test_many_zeros_without_nodata_are_noted(
    write_scene: WriteScene, zero_rows: int, noted: bool
) -> None:
    values = np.ones((2, 100, 30), "uint8")
    values[:, :zero_rows] = 0
    values[0] = 0  # one band alone means nothing

    assert ("--nodata 0" in notes(write_scene(values), [0, 1])) is noted
    assert "--nodata 0" not in notes(write_scene(values, "told.tif", nodata=255), [0, 1])


def test_bands_are_named_by_description_or_colour_or_not_at_all(write_scene: WriteScene) -> None:
    values = np.zeros((4, 2, 2), "uint8")
    described = write_scene(values, "a.tif", descriptions=("B02", "Band 2", "B04", ""))
    coloured = write_scene(values, "b.tif", photometric="RGB")
    with rasterio.open(coloured, "r+") as target:
        target.colorinterp = [*target.colorinterp[:3], ColorInterp.nir]
    plain = write_scene(values[:1], "c.tif")

    def names(path: Path, **options: object) -> list[str | None]:
        with open_raster(path, **options) as source:
            return [band.name for band in source.bands]

    assert names(described)[::2] == ["B02", "B04"]
    assert "Band 2" not in names(described)
    assert names(coloured) == ["red", "green", "blue", "nir"]
    assert names(plain) == [None]
    assert names(plain, band_names=["height"]) == ["height"]
    with pytest.raises(ConfigError, match="has 4 bands, but 2 names"):
        open_raster(coloured, band_names=["a", "b"])


def test_scale_and_offset_are_told_not_applied(write_scene: WriteScene) -> None:
    path = write_scene(np.full((1, 2, 2), 7, "uint16"))
    with rasterio.open(path, "r+") as target:
        target.scales, target.offsets = (0.5,), (-1.0,)

    with open_raster(path) as source:
        assert (source.bands[0].scale, source.bands[0].offset) == (0.5, -1.0)
    assert whole(path).values.max() == 7


@pytest.mark.parametrize(
    "place", [{"crs": None}, {"crs": None, "transform": Affine.identity()}], ids=["crs", "both"]
)
@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_a_raster_without_a_place_needs_permission(
    write_scene: WriteScene, place: dict[str, object]
) -> None:
    values = np.arange(6, dtype="uint8").reshape(1, 2, 3)
    path = write_scene(values, **place)

    with pytest.raises(InputError, match="does not say where it lies"):
        open_raster(path)
    with open_raster(path, allow_ungeoreferenced=True) as source:
        assert source.geobox.crs is None
    np.testing.assert_array_equal(whole(path, allow_ungeoreferenced=True).values, values)


def test_a_raster_placed_by_control_points_is_told_to_be_warped(tmp_path: Path) -> None:
    path = tmp_path / "gcps.tif"
    points = [GroundControlPoint(row=r, col=c, x=c, y=-r, z=0) for r, c in [(0, 0), (0, 4), (4, 4)]]
    profile = {"driver": "GTiff", "width": 4, "height": 4, "count": 1, "dtype": "uint8"}
    with rasterio.open(path, "w", gcps=points, crs="EPSG:4326", **profile) as target:
        target.write(np.zeros((1, 4, 4), "uint8"))

    with pytest.raises(InputError, match="ground control points only"):
        open_raster(path)


@pytest.mark.parametrize("driver", ["PNG", "JPEG", "JP2OpenJPEG"])
@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_other_formats_read(tmp_path: Path, driver: str) -> None:
    values = np.full((3, 40, 50), 100, "uint8")
    path = tmp_path / "chip"
    profile = {"width": 50, "height": 40, "count": 3, "dtype": "uint8"}
    options = {"QUALITY": "100", "REVERSIBLE": "YES"} if driver == "JP2OpenJPEG" else {}
    with rasterio.open(path, "w", driver=driver, **profile, **options) as target:
        target.write(values)

    pixels = whole(path, allow_ungeoreferenced=True)

    np.testing.assert_allclose(pixels.values, values, atol=2)
    assert pixels.valid.all()


def test_a_palette_is_noted(write_scene: WriteScene) -> None:
    path = write_scene(np.ones((1, 4, 4), "uint8"))
    with rasterio.open(path, "r+") as target:
        target.write_colormap(1, {1: (255, 0, 0, 255)})

    assert "colour table" in notes(path, [0])


def test_complex_numbers_and_too_many_pixels_are_refused(write_scene: WriteScene) -> None:
    with pytest.raises(InputError, match="no bands of real numbers"):
        open_raster(write_scene(np.ones((1, 4, 4), "complex64")))
    with pytest.raises(InputError, match="4 x 4 = 16 px, more than the 15 allowed"):
        open_raster(write_scene(np.ones((1, 4, 4), "uint8")), max_pixels=15)


def sparse(path: Path, *, height: int, width: int, block: int, **profile: object) -> None:
    with rasterio.open(
        path, "w", driver="GTiff", height=height, width=width, dtype="uint8", crs="EPSG:32631",
        transform=Affine(1, 0, 5e5, 0, -1, 5e6), tiled=True, blockxsize=block, blockysize=block,
        sparse_ok=True, compress="deflate", **{"count": 1, **profile},
    ) as target:  # fmt: skip
        window = rasterio.windows.Window(block, 2 * block, block, block)
        target.write(np.ones((target.count, block, block), "uint8"), window=window)


@pytest.mark.parametrize("interleave", ["pixel", "band"])
def test_blocks_that_were_never_written_are_known_to_be_empty(
    tmp_path: Path, interleave: str
) -> None:
    sparse(tmp_path / "s.tif", height=200, width=100, block=32, nodata=0, count=2,
           interleave=interleave)  # fmt: skip

    with open_raster(tmp_path / "s.tif") as source:
        reader = source.select([1])
        for row in range(0, 200, 8):
            for col in range(0, 100, 4):
                window = Window(row_off=row, col_off=col, height=8, width=4)
                assert reader.may_hold_data(window) == reader.read(window).valid.any()
        assert reader.may_hold_data(Window(row_off=0, col_off=0, height=65, width=100))
        assert not reader.may_hold_data(Window(row_off=0, col_off=0, height=64, width=100))


def test_a_missing_block_is_data_unless_it_reads_as_nodata(tmp_path: Path) -> None:
    corner = Window(row_off=0, col_off=0, height=4, width=4)
    sparse(tmp_path / "plain.tif", height=200, width=100, block=32)
    sparse(tmp_path / "white.tif", height=200, width=100, block=32, nodata=255)

    for name, nodata, held in [
        ("plain.tif", None, True),
        ("plain.tif", 0, False),
        ("plain.tif", 1, True),
        ("white.tif", None, False),
        ("white.tif", 0, True),
    ]:
        with open_raster(tmp_path / name, nodata=nodata) as source:
            reader = source.select([0])
            assert reader.may_hold_data(corner) is held
            assert reader.read(corner).valid.any() == held


def test_a_block_missing_in_one_band_of_two_is_empty_unless_any_will_do(tmp_path: Path) -> None:
    path = tmp_path / "s.tif"
    sparse(path, height=200, width=100, block=32, nodata=0, count=2, interleave="band")
    with rasterio.open(path, "r+") as target:
        ones = np.ones((32, 32), "uint8")
        target.write(ones, 2, window=rasterio.windows.Window(0, 0, 32, 32))
    corner = Window(row_off=0, col_off=0, height=4, width=4)

    with open_raster(path) as source:
        assert not source.select([0, 1]).may_hold_data(corner)
        assert source.select([0, 1], valid="any").may_hold_data(corner)
        assert source.select([1]).may_hold_data(corner)


def test_a_missing_block_of_an_alpha_band_is_empty(tmp_path: Path) -> None:
    path = tmp_path / "s.tif"
    sparse(path, height=200, width=100, block=32, count=4, photometric="RGB", alpha="yes")

    with open_raster(path) as source:
        reader = source.select([0, 1, 2])
        assert not reader.may_hold_data(Window(row_off=0, col_off=0, height=4, width=4))
        assert reader.may_hold_data(Window(row_off=64, col_off=32, height=4, width=4))


@pytest.mark.parametrize("nodata", [None, 0, 255, 7])
@pytest.mark.parametrize("interleave", ["pixel", "band"])
def test_a_missing_block_of_alpha_and_nodata_is_empty_only_if_it_reads_so(
    tmp_path: Path, nodata: float | None, interleave: str
) -> None:
    """A block that was never written reads as the declared nodata: as alpha, 255 is opaque."""
    path = tmp_path / "s.tif"
    sparse(path, height=96, width=64, block=32, count=4, photometric="RGB", alpha="yes",
           interleave=interleave)  # fmt: skip
    with rasterio.open(path, "r+") as target:
        target.nodata = nodata
    corner = Window(row_off=0, col_off=0, height=32, width=32)

    for told in (None, 0, 3):
        with open_raster(path, nodata=told) as source:
            for rule in ("all", "any"):
                reader = source.select([0, 1], alpha="band", valid=rule)
                assert reader.read(corner).valid.any() == reader.may_hold_data(corner)


def test_a_huge_empty_raster_costs_nothing(tmp_path: Path) -> None:
    path = tmp_path / "huge.tif"
    sparse(path, height=10**6, width=10**6, block=1024, nodata=0)

    with open_raster(path) as source:
        reader = source.select([0])
        band = Window(row_off=500_000, col_off=0, height=1024, width=10**6)
        assert not reader.may_hold_data(band)
        corner = Window(row_off=10**6 - 9, col_off=10**6 - 9, height=9, width=9)
        assert not reader.read(corner).valid.any()


def test_a_block_that_unpacks_to_too_much_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.tif"
    side = 16_400
    profile = {"driver": "GTiff", "height": side, "width": side, "count": 1, "dtype": "uint8"}
    tiles = {"tiled": True, "blockxsize": side, "blockysize": side, "sparse_ok": True}
    place = {"crs": "EPSG:32631", "transform": Affine(1, 0, 5e5, 0, -1, 5e6)}
    rasterio.open(path, "w", **profile, **tiles, **place).close()

    behind_vrt = tmp_path / "bomb.vrt"
    rasterio.shutil.copy(path, behind_vrt, driver="VRT")

    for bomb in (path, behind_vrt):
        with pytest.raises(InputError, match=r"bomb.tif: .* 16400 x 16400 px unpack to 256 MiB"):
            open_raster(bomb)


def test_the_cache_holds_the_largest_block(write_scene: WriteScene) -> None:
    tile = {"tiled": True, "blockxsize": 4096, "blockysize": 4096, "sparse_ok": True}
    path = write_scene(np.zeros((3, 16, 16), "uint8"), **tile)

    with open_raster(path):
        assert BlockCache.nbytes >= 2 * 3 * 4096 * 4096
        assert get_gdal_config("GDAL_CACHEMAX") == BlockCache.nbytes


@pytest.fixture
def damaged(write_scene: WriteScene) -> tuple[Path, np.ndarray]:
    """A raster of 3 x 2 blocks whose block at row 1, column 1 is damaged."""
    values = np.random.default_rng(0).integers(0, 8, (2, 48, 32)).astype("uint8")
    path = write_scene(values, tiled=True, blockxsize=16, blockysize=16, compress="deflate")
    with rasterio.open(path) as source:
        start = int(source.get_tag_item("BLOCK_OFFSET_1_1", "TIFF", bidx=1))
        size = int(source.get_tag_item("BLOCK_SIZE_1_1", "TIFF", bidx=1))
    content = bytearray(path.read_bytes())
    content[start : start + size] = bytes(255 - byte for byte in content[start : start + size])
    path.write_bytes(content)
    return path, values


def test_a_damaged_block_raises_with_its_window(damaged: tuple[Path, np.ndarray]) -> None:
    path, values = damaged
    window = Window(row_off=10, col_off=0, height=20, width=32)

    with open_raster(path) as source:
        reader = source.select([0, 1])
        with pytest.raises(BlockReadError, match="rows 10-30, columns 0-32 cannot be") as caught:
            reader.read(window)
        top = Window(row_off=0, col_off=0, height=16, width=32)
        np.testing.assert_array_equal(reader.read(top).values, values[:, :16])

    assert caught.value.window == window
    assert "\n" not in str(caught.value)


@given(
    row=st.integers(0, 47), col=st.integers(0, 31), height=st.integers(1, 48),
    width=st.integers(1, 32),
)  # fmt: skip
def test_salvage_loses_the_damaged_block_and_nothing_else(
    damaged: tuple[Path, np.ndarray], row: int, col: int, height: int, width: int
) -> None:
    path, values = damaged
    window = Window(row_off=row, col_off=col, height=height, width=width)
    window = window.clipped(height=48, width=32)
    lost = np.zeros((48, 32), bool)
    lost[16:32, 16:32] = True

    with open_raster(path) as source:
        pixels, failed = source.select([0, 1]).read_salvaged(window)

    np.testing.assert_array_equal(pixels.valid[0], ~lost[window.slices])
    kept = pixels.valid[0]
    np.testing.assert_array_equal(pixels.values[:, kept], values[:, *window.slices][:, kept])
    block = Window(row_off=16, col_off=16, height=16, width=16)
    assert failed == ((block,) if lost[window.slices].any() else ()), "it is named whole"


@pytest.fixture
def one_strip(write_scene: WriteScene) -> tuple[Path, np.ndarray]:
    """A file that is one large compressed strip, which GDAL decodes row by row from the top."""
    values = np.random.default_rng(0).integers(0, 9, (1, 3000, 3000)).astype("uint8")
    path = write_scene(values, blockysize=3000, compress="deflate", nodata=0)
    with open_raster(path) as source:
        assert source.select([0]).block_shape == (1, 3000)
    return path, values


def test_rows_of_a_large_strip_are_not_taken_for_missing_blocks(
    one_strip: tuple[Path, np.ndarray],
) -> None:
    path, values = one_strip
    window = Window(row_off=2000, col_off=0, height=9, width=3000)

    with open_raster(path) as source:
        reader = source.select([0])
        assert reader.may_hold_data(window)
        np.testing.assert_array_equal(reader.read(window).values[0], values[0, 2000:2009])


def test_a_cut_strip_is_given_up_in_few_tries(one_strip: tuple[Path, np.ndarray]) -> None:
    path, _ = one_strip
    path.write_bytes(path.read_bytes()[:-1000])
    window = Window(row_off=1800, col_off=0, height=400, width=3000)

    with open_raster(path) as source:
        pixels, lost = source.select([0]).read_salvaged(window)

    assert lost == (Window(row_off=0, col_off=0, height=3000, width=3000),)
    assert not pixels.valid.any()


def test_a_truncated_file_opens_and_gives_what_is_left(write_scene: WriteScene) -> None:
    values = np.random.default_rng(0).integers(0, 255, (1, 64, 64)).astype("uint8")
    path = write_scene(values, tiled=True, blockxsize=16, blockysize=16)
    path.write_bytes(path.read_bytes()[: -64 * 16])  # the last row of blocks is gone

    with open_raster(path) as source:
        whole_window = Window(row_off=0, col_off=0, height=64, width=64)
        pixels, failed = source.select([0]).read_salvaged(whole_window)

    assert {window.row_off for window in failed} == {48}
    np.testing.assert_array_equal(pixels.values[0, :48], values[0, :48])
    assert not pixels.valid[0, 48:].any()


@pytest.mark.parametrize("shape", [(3, 100, 150), (1, 100, 150), (4, 900, 1300)])
@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_a_truncated_png_is_never_read_as_if_it_were_whole(
    tmp_path: Path, shape: tuple[int, int, int]
) -> None:
    count, height, width = shape
    values = np.random.default_rng(0).integers(1, 250, shape, dtype="uint8")
    profile = {"count": count, "height": height, "width": width, "dtype": "uint8"}
    with rasterio.open(tmp_path / "cut.png", "w", driver="PNG", **profile) as target:
        target.write(values)
    content = (tmp_path / "cut.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(content[: len(content) * 6 // 10])
    window = Window(row_off=0, col_off=0, height=height, width=width)

    with open_raster(tmp_path / "cut.png", allow_ungeoreferenced=True) as source:
        reader = source.select(range(count), alpha="none")
        with pytest.raises(BlockReadError):
            reader.read(window)
        pixels, (lost,) = reader.read_salvaged(window)
        half = Window(row_off=0, col_off=0, height=height // 2, width=width)
        np.testing.assert_array_equal(reader.read(half).values, values[:, : height // 2])

    first = lost.row_off
    assert 0.5 * height < first < 0.7 * height
    np.testing.assert_array_equal(pixels.values[:, :first], values[:, :first])
    assert pixels.valid[:, :first].all()
    assert not pixels.valid[:, first:].any()


@pytest.mark.shared
def test_every_image_of_the_labelled_scenes_opens(shared_data: Path) -> None:
    images = sorted(
        path
        for folder in ("images", "masks", "labels", "dem", "s1rtc", "s2l2a")
        for path in shared_data.glob(f"*/{folder}/**/*.tif")
    )
    assert images
    for path in images:
        with open_raster(path, allow_ungeoreferenced=True) as source:
            reader = source.select(range(len(source.bands)))
            height, width = source.geobox.shape
            corner = Window(row_off=0, col_off=0, height=256, width=256)
            pixels = reader.read(corner.clipped(height=height, width=width))
            assert pixels.values.shape[1:] == pixels.valid.shape[1:]


@pytest.mark.parametrize(
    ("crs", "transform", "message"),
    [
        ("EPSG:4326", Affine(10, 0, 5e5, 0, -10, 6e6), r"latitude 6e\+06, but EPSG:4326 counts in"),
        ("EPSG:4978", Affine(1, 0, 4e6, 0, -1, 5e5), "has a geocentric CRS"),
        ("EPSG:32631", Affine(1, 0, math.nan, 0, -1, 5e6), r"lies at no place \(NaN\)"),
        ("EPSG:32631", Affine(1, 0, 5e5, 0, 0, 5e6), "has pixels without an area"),
    ],
)
def test_a_place_that_cannot_be_is_refused(
    write_scene: WriteScene, crs: str, transform: Affine, message: str
) -> None:
    path = write_scene(np.zeros((1, 4, 4), "uint8"), crs=crs, transform=transform)
    with pytest.raises(InputError, match=message):
        open_raster(path)


def test_a_global_grid_may_reach_half_a_pixel_beyond_the_poles(write_scene: WriteScene) -> None:
    around = Affine(1, 0, -180.5, 0, -1, 90.5)
    path = write_scene(np.zeros((1, 181, 361), "uint8"), crs="EPSG:4326", transform=around)
    with open_raster(path) as source:
        assert source.geobox.shape == (181, 361)
