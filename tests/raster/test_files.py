"""What is refused before GDAL sees it."""

import os
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest

from geohier.errors import InputError, UnsafeInputError
from geohier.geo.window import Window
from geohier.raster.reader import open_raster


@pytest.mark.parametrize(
    "path",
    [
        "http://127.0.0.1:9/a.tif",
        "https:/127.0.0.1/a.tif",  # what a Path makes of a URL
        "/vsicurl/http://127.0.0.1:9/a.tif",
        "/vsizip//tmp/a.zip/a.tif",
        "s3://bucket/a.tif",
        "zip+file:///tmp/a.zip!a.tif",
    ],
)
def test_paths_that_lead_off_this_machine_are_refused(path: str) -> None:
    with pytest.raises(UnsafeInputError, match="not a file on this machine"):
        open_raster(path)


@pytest.mark.parametrize("url", ["https://a.org/b.tif", "s3://bucket/b.tif", "HTTP://a/b.tif"])
def test_a_url_is_shown_as_it_was_typed_though_it_became_a_path(url: str) -> None:
    with pytest.raises(UnsafeInputError, match=f"^{url} is not a file on this machine"):
        open_raster(Path(url))


def test_a_raster_in_an_archive_opens_if_allowed(
    write_scene: Callable[..., Path], tmp_path: Path
) -> None:
    values = np.arange(12, dtype="uint8").reshape(1, 3, 4)
    scene = write_scene(values)
    with ZipFile(tmp_path / "scenes.zip", "w") as archive:
        archive.write(scene, "inside.tif")
    with pytest.raises(InputError) as refused:
        open_raster(tmp_path / "scenes.zip")
    hint = str(refused.value).split("takes ")[1].split(" with")[0]

    with open_raster(hint.replace("NAME", "inside"), allow_remote=True) as source:
        pixels = source.select([0]).read(Window(row_off=0, col_off=0, height=3, width=4))
    np.testing.assert_array_equal(pixels.values, values)


def test_a_path_into_gdals_file_systems_is_refused_however_it_is_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir("/")

    with pytest.raises(UnsafeInputError):
        open_raster("vsicurl/whatever.tif")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"hello, I am a text\n", "not a raster that geohier reads"),
        (b"II*\x00", "cannot be read"),
        (b"II*\x00\x08\x00\x00\x00\xff\xff" + bytes(range(256)), "cannot be read"),
        (b"\x89PNG\r\n\x1a\n", "cannot be read"),
        (b"\xff\xd8\xff\xfe\x00\x20<VRTDataset>", "at once"),
        (b"PK\x03\x04", "zip archive: unpack it .* takes /vsizip//.*scene.tif/NAME.tif with"),
    ],
)
def test_what_is_no_raster_is_refused_in_one_line(
    tmp_path: Path, content: bytes, says: str
) -> None:
    path = tmp_path / "scene.tif"
    path.write_bytes(content)

    with pytest.raises(InputError, match=says) as caught:
        open_raster(path)

    assert "\n" not in str(caught.value)
    assert "scene.tif" in str(caught.value)


def test_missing_files_folders_pipes_and_impossible_names_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.tif")
    name = os.fsdecode(os.fsencode(tmp_path / "no-") + b"\xff.tif")
    Path(name).write_bytes(b"II*\x00")

    for path, says in [
        (tmp_path / "none.tif", "no such file"),
        (tmp_path, "is a folder"),
        (tmp_path / "pipe.tif", "is a pipe"),
        (name, r"\\xff.tif: its name is not UTF-8"),
        (tmp_path / ("x" * 300), "cannot be opened"),
        (tmp_path / "a\0b", "cannot be opened"),
    ]:
        with pytest.raises(InputError, match=says):
            open_raster(path)


@pytest.mark.parametrize("name", ["überblick.tif", "a b#c?d.tif", "GTIFF_DIR:1:x.tif", "x.png"])
def test_odd_names_are_just_names(write_scene: Callable[..., Path], name: str) -> None:
    values = np.arange(12, dtype="uint8").reshape(1, 3, 4)
    path = write_scene(values, name)

    with open_raster(path) as source:
        assert source.geobox.shape == (3, 4)
        assert source.name == path.stem
