"""Several files of one place, read as one raster."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.enums import ColorInterp

from geohier.errors import ConfigError, InputError
from geohier.geo.window import Window
from geohier.raster import sample as sample_module
from geohier.raster.sample import sample_windows
from geohier.raster.source import Pixels
from geohier.raster.stack import StackFile, open_stack

WriteScene = Callable[..., Path]
COARSE = Affine(20, 0, 500_000, 0, -20, 5_000_000)
WHOLE = Window(row_off=0, col_off=0, height=16, width=16)


@pytest.fixture
def fine(write_scene: WriteScene) -> Path:
    values = np.arange(512, dtype="uint16").reshape(2, 16, 16)
    return write_scene(values, "fine.tif", descriptions=("red", "nir"))


def read(files: list[StackFile], indexes: list[int], **rules: object) -> Pixels:
    with open_stack(files) as source:
        return source.select(indexes, **rules).read(WHOLE)


def test_bands_of_files_on_one_grid_are_read_by_name_and_place(
    write_scene: WriteScene, fine: Path
) -> None:
    height = np.full((1, 16, 16), 7, "uint16")
    files = [StackFile(path=fine), StackFile(path=write_scene(height, "h.tif"), names=("height",))]

    with open_stack(files, name="both") as source:
        assert source.name == "both"
        assert [band.name for band in source.bands] == ["red", "nir", "height"]
        reader = source.select([2, 1])
        pixels = reader.read(WHOLE)

    assert reader.notes == ()
    np.testing.assert_array_equal(pixels.values[0], height[0])
    np.testing.assert_array_equal(pixels.values[1], np.arange(256, 512).reshape(16, 16))
    assert pixels.valid.shape == (1, 16, 16)


def test_a_file_is_asked_for_some_of_its_bands_only(fine: Path) -> None:
    with open_stack([StackFile(path=fine, bands=(2,), scale=0.5, offset=-1)]) as source:
        assert [(b.name, b.scale, b.offset) for b in source.bands] == [("nir", 0.5, -1)]
    with pytest.raises(ConfigError, match="has bands 1 to 2, but 3 are asked for"):
        open_stack([StackFile(path=fine, bands=(3,))])
    with pytest.raises(ConfigError, match=r"1 names .* for 2 bands"):
        open_stack([StackFile(path=fine, names=("red",))])
    with pytest.raises(ConfigError, match="the scene has 2 bands, but 1 names"):
        open_stack([StackFile(path=fine)], band_names=["red"])


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
def test_a_coarser_file_is_brought_to_the_first_grid(
    write_scene: WriteScene, fine: Path, dtype: str
) -> None:
    """A plane stays a plane under bilinear resampling; nearest repeats each pixel."""
    rows, columns = np.mgrid[:8, :8]
    plane = (8 * rows + 4 * columns)[None].astype(dtype)
    path = write_scene(plane, "coarse.tif", transform=COARSE)

    smooth = read([StackFile(path=fine), StackFile(path=path)], [2])
    steps = read([StackFile(path=fine), StackFile(path=path, resampling="nearest")], [2])

    np.testing.assert_array_equal(steps.values[0], plane[0].repeat(2, 0).repeat(2, 1))
    rows, columns = (np.mgrid[:16, :16] - 0.5) / 2
    inner = np.s_[2:-2, 2:-2]
    np.testing.assert_allclose(smooth.values[0][inner], (8 * rows + 4 * columns)[inner], atol=0.5)
    assert smooth.valid.all()


def test_resampling_is_noted(write_scene: WriteScene, fine: Path) -> None:
    path = write_scene(np.ones((1, 8, 8), "uint8"), "coarse.tif", transform=COARSE)

    with open_stack([StackFile(path=fine), StackFile(path=path)]) as source:
        notes = source.select([0, 2]).notes

    assert notes == ("coarse.tif lies on another grid: resampled to the first file's (bilinear)",)


def test_a_resampled_file_is_looked_into_once_and_only_for_its_notes(
    write_scene: WriteScene, fine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = []

    def watched(*given: object) -> list[Window]:
        looked.append(given)
        return sample_windows(*given)

    monkeypatch.setattr(sample_module, "sample_windows", watched)
    empty = write_scene(np.zeros((1, 8, 8), "uint8"), "empty.tif", transform=COARSE)
    with open_stack([StackFile(path=fine), StackFile(path=empty)]) as source:
        reader = source.select([2])
        reader.read(WHOLE)
        assert looked == []
        assert ["pass --nodata 0" in note for note in reader.notes] == [False, True]
        assert len(looked) == 1


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("nodata", [None, 3])
def test_pixels_beyond_the_end_of_a_file_are_invalid(
    write_scene: WriteScene, fine: Path, dtype: str, nodata: float | None
) -> None:
    half = write_scene(np.full((1, 8, 4), 200, dtype), "half.tif", transform=COARSE, nodata=nodata)

    pixels = read([StackFile(path=fine), StackFile(path=half)], [0, 2])
    apart = read([StackFile(path=fine), StackFile(path=half)], [0, 2], valid="any")

    assert pixels.valid[0, :, :8].all()
    assert not pixels.valid[0, :, 9:].any()
    assert (pixels.values[1][pixels.valid[0]] == 200).all()
    assert apart.valid.shape == (2, 16, 16)
    assert apart.valid[0].all()
    np.testing.assert_array_equal(apart.valid[1], pixels.valid[0])


def test_nodata_does_not_bleed_into_its_neighbours(write_scene: WriteScene, fine: Path) -> None:
    values = np.full((1, 8, 8), 100, "uint16")
    values[0, 3:5, 3:5] = 0
    path = write_scene(values, "holed.tif", transform=COARSE)

    pixels = read([StackFile(path=fine), StackFile(path=path, nodata=0)], [2])

    assert set(np.unique(pixels.values[0][pixels.valid[0]])) == {100}
    assert not pixels.valid[0, 7:9, 7:9].any()


def test_nodata_of_one_band_does_not_bleed_either(write_scene: WriteScene, fine: Path) -> None:
    values = np.full((2, 8, 8), 100, "uint16")
    values[0, 3:5, 3:5] = 0
    path = write_scene(values, "holed.tif", transform=COARSE, nodata=0)

    pixels = read([StackFile(path=fine), StackFile(path=path)], [2, 3], valid="any")

    assert set(np.unique(pixels.values[0][pixels.valid[0]])) == {100}
    assert not pixels.valid[0, 7:9, 7:9].any()
    assert pixels.valid[1].all()
    assert (pixels.values[1] == 100).all()


def test_near_infrared_under_an_alpha_tag_is_resampled_as_data(
    write_scene: WriteScene, fine: Path
) -> None:
    values = np.random.default_rng(0).integers(1, 250, (4, 8, 8)).astype("uint8")
    path = write_scene(values, "naip.tif", transform=COARSE)
    with rasterio.open(path, "r+") as target:
        target.colorinterp = [*target.colorinterp[:3], ColorInterp.alpha]
    files = [StackFile(path=fine), StackFile(path=path, resampling="nearest")]

    for indexes in ([2, 5], [2, 3]):
        pixels = read(files, indexes)
        wanted = values[[at - 2 for at in indexes]].repeat(2, 1).repeat(2, 2)
        np.testing.assert_array_equal(pixels.values, wanted)
        assert pixels.valid.all()


def test_real_alpha_is_resampled_as_a_mask(write_scene: WriteScene, fine: Path) -> None:
    values = np.full((4, 8, 8), 9, "uint8")
    values[3] = 255
    values[3, :, :4] = 0
    path = write_scene(values, "rgba.tif", transform=COARSE)
    with rasterio.open(path, "r+") as target:
        target.colorinterp = [*target.colorinterp[:3], ColorInterp.alpha]

    pixels = read([StackFile(path=fine), StackFile(path=path, resampling="nearest")], [2, 3])

    np.testing.assert_array_equal(pixels.valid[0], values[3].repeat(2, 0).repeat(2, 1) > 0)
    assert (pixels.values[:, pixels.valid[0]] == 9).all()


def test_another_crs_is_brought_to_the_first(write_scene: WriteScene, fine: Path) -> None:
    degrees = Affine(0.001, 0, 2.99, 0, -0.001, 45.17)
    path = write_scene(
        np.full((1, 40, 40), 5, "uint8"), "d.tif", crs="EPSG:4326", transform=degrees
    )

    pixels = read([StackFile(path=fine), StackFile(path=path)], [2])

    assert pixels.valid.all()
    assert (pixels.values == 5).all()


def test_a_file_of_another_place_is_refused(write_scene: WriteScene, fine: Path) -> None:
    far = write_scene(np.ones((1, 4, 4), "uint8"), "far.tif", transform=Affine(10, 0, 0, 0, -10, 0))

    with pytest.raises(InputError, match=r"far\.tif does not overlap the first file"):
        open_stack([StackFile(path=fine), StackFile(path=far)])


def test_a_block_missing_in_one_file_hides_the_pixel(write_scene: WriteScene, fine: Path) -> None:
    options = {"tiled": True, "blockxsize": 16, "blockysize": 16, "sparse_ok": True, "nodata": 0}
    empty = write_scene(np.zeros((1, 16, 16), "uint16"), "empty.tif", **options)

    with open_stack([StackFile(path=fine), StackFile(path=empty)]) as source:
        assert not source.select([0, 2]).may_hold_data(WHOLE)
        assert source.select([0, 2], valid="any").may_hold_data(WHOLE)
        assert source.select([0, 1]).may_hold_data(WHOLE)


def test_a_damaged_block_of_one_file_is_lost_for_all_its_bands(
    write_scene: WriteScene, fine: Path
) -> None:
    values = np.ones((1, 16, 16), "uint8")
    path = write_scene(values, "b.tif", blockysize=4, compress="deflate")
    with rasterio.open(path) as source:
        start = int(source.get_tag_item("BLOCK_OFFSET_0_1", "TIFF", bidx=1))
    content = bytearray(path.read_bytes())
    content[start : start + 2] = b"\xff\xff"
    path.write_bytes(content)

    with open_stack([StackFile(path=fine), StackFile(path=path)]) as stack:
        pixels, failed = stack.select([0, 2]).read_salvaged(WHOLE)

    assert failed == (Window(row_off=4, col_off=0, height=4, width=16),)
    np.testing.assert_array_equal(~pixels.valid[0].any(axis=1), np.arange(16) // 4 == 1)
