"""Which scenes paths stand for, and that all kinds open as one raster."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from affine import Affine

from geohier.data.scene import find_scenes, open_scene, open_scenes_as_mosaic, scene_at
from geohier.errors import ConfigError, InputError, UnsafeInputError
from geohier.geo.window import Window

WriteScene = Callable[..., Path]
WHOLE = Window(row_off=0, col_off=0, height=4, width=4)


@pytest.fixture
def folder(tmp_path: Path, write_scene: WriteScene) -> Path:
    values = np.arange(32, dtype="uint8").reshape(2, 4, 4)
    write_scene(values, "b.tif", descriptions=("red", "nir"))
    write_scene(values[:1] + 100, "a.tif")
    write_scene(values[:1] + 50, "height.tif")
    (tmp_path / "notes.txt").write_text("nothing")
    (tmp_path / "both.scene.yaml").write_text(
        "files:\n"
        "  - path: b.tif\n"
        "    bands: [2]\n"
        "  - {path: height.tif, names: [height], nodata: 50}\n"
    )
    return tmp_path


def ids(*paths: Path) -> list[str]:
    return [scene.id for scene in find_scenes(paths)]


def test_a_folder_stands_for_its_scenes_but_not_for_parts_of_them(folder: Path) -> None:
    assert ids(folder) == ["a", "both"]


def test_files_and_globs_stand_for_themselves_in_the_order_given(folder: Path) -> None:
    assert ids(folder / "b.tif", folder / "a.tif") == ["b", "a"]
    assert ids(folder / "*.tif") == ["a", "b", "height"]
    assert ids(folder / "?.tif", folder / "a.tif") == ["a", "b"]
    (folder / "sub").mkdir()
    (folder / "b.tif").rename(folder / "sub" / "c.tif")
    assert ids(folder / "**" / "c.*") == ["c"]


def test_a_file_whose_name_looks_like_a_glob_is_a_file(write_scene: WriteScene) -> None:
    path = write_scene(np.zeros((1, 2, 2), "uint8"), "a[1].tif")

    assert ids(path) == ["a[1]"]


def test_nothing_found_and_names_that_clash_are_errors(folder: Path) -> None:
    (folder / "empty").mkdir()
    (folder / "other").mkdir()
    (folder / "other" / "a.tif").write_bytes((folder / "a.tif").read_bytes())

    for paths, says in [
        ([folder / "x*.tif"], "matches no raster"),
        ([folder / "empty"], "holds no raster"),
        ([folder / "a.tif", folder / "other" / "a.tif"], "2 scenes are named a"),
    ]:
        with pytest.raises(InputError, match=says):
            find_scenes(paths)


def test_a_missing_file_is_a_scene_that_does_not_open(folder: Path) -> None:
    (scene,) = find_scenes([folder / "none.tif"])

    with pytest.raises(InputError, match="no such file"):
        open_scene(scene)


def test_a_scene_file_opens_as_one_raster(folder: Path) -> None:
    with open_scene(folder / "both.scene.yaml") as source:
        assert source.name == "both"
        assert source.files == (folder / "b.tif", folder / "height.tif")
        assert [band.name for band in source.bands] == ["nir", "height"]
        pixels = source.select([0, 1]).read(WHOLE)

    np.testing.assert_array_equal(pixels.values[0], np.arange(16, 32).reshape(4, 4))
    assert not pixels.valid[0, 0, 0]
    assert pixels.valid.sum() == 15


def test_a_scene_file_may_say_what_a_raster_does_not(folder: Path) -> None:
    (folder / "s.scene.yaml").write_text(
        "files: [{path: b.tif, scale: 0.5, offset: -3, nodata: 7}, {path: a.tif}]"
    )
    with open_scene(folder / "s.scene.yaml") as source:
        told = [(band.scale, band.offset, band.nodata) for band in source.bands]
    assert told == [(0.5, -3, 7), (0.5, -3, 7), (1, 0, None)]


def test_nodata_of_a_scene_file_may_be_nan_but_a_scale_may_not(
    folder: Path, write_scene: WriteScene
) -> None:
    write_scene(np.zeros((1, 4, 4), "float32"), "f.tif")
    path = folder / "s.scene.yaml"
    path.write_text("files: [{path: f.tif, nodata: .nan}]")
    with open_scene(path) as source:
        assert [str(band.nodata) for band in source.bands] == ["nan"]
    path.write_text("files: [{path: f.tif, scale: .inf}]")
    with pytest.raises(ConfigError, match=r"scale: give a finite number"), open_scene(path):
        pass


def test_options_reach_every_file(folder: Path) -> None:
    for path in (folder / "a.tif", folder / "both.scene.yaml"):
        count = 1 if path.suffix == ".tif" else 2
        names = ["x", "y"][:count]
        with open_scene(path, nodata=101, band_names=names) as source:
            assert [band.name for band in source.bands] == names
            assert [band.nodata for band in source.bands] == [101] * count
    with open_scene(str(folder / "a.tif")) as source:
        assert source.name == "a"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("files: []", "files"),
        ("files: [{path: b.tif, band: [1]}]", r"files\.0\.band: unknown key; .* bands names"),
        ("files: [{pth: b.tif}]", r"files\.0\.pth: unknown key; the keys are path bands"),
        ("files: [{path: b.tif}]\ntimes: []", "times: unknown key; the keys are files dates$"),
        ("files: [{path: b.tif, resampling: cubic}]", r"resampling: give 'bilinear' or 'nearest'"),
        ("files: b.tif", r"files: give a list, such as \[a, b\], found \"b.tif\""),
        ("files: [{names: [a]}]", "path"),
        ("files: [{path: b.tif, scale: 0}]", r"files\.0\.scale: give a number above 0"),
        ("files: [{path: b.tif, offset: .nan}]", r"files\.0\.offset: give a finite number"),
        ("files: !!python/object/apply:os.system [id]", "tag"),
        ("- b.tif", "list"),
    ],
)
def test_mistakes_in_a_scene_file_are_named(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "x.scene.yaml"
    path.write_text(text)

    with pytest.raises(ConfigError, match=says) as caught:
        scene_at(path)

    assert "x.scene.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_scene_file_cannot_lead_to_the_network(tmp_path: Path) -> None:
    path = tmp_path / "x.scene.yaml"
    path.write_text("files: [{path: /vsicurl/http://127.0.0.1:9/a.tif}]")

    with pytest.raises(UnsafeInputError):
        open_scene(path)


def test_scenes_on_one_grid_open_as_a_mosaic(folder: Path, write_scene: WriteScene) -> None:
    right = Affine(10, 0, 500_040, 0, -10, 5_000_000)
    write_scene(np.full((1, 4, 4), 200, "uint8"), "right.tif", transform=right)
    scenes = find_scenes([folder / "a.tif", folder / "right.tif"])

    with open_scenes_as_mosaic(scenes) as source:
        pixels = source.select([0]).read(Window(row_off=0, col_off=0, height=4, width=8))

    assert (pixels.values[0, :, 4:] == 200).all()
    assert pixels.valid.all()
    with pytest.raises(InputError, match="made of other files"):
        open_scenes_as_mosaic([*scenes, scene_at(folder / "both.scene.yaml")])
