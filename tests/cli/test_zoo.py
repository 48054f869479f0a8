"""Odd rasters through predict, plan and inspect: the right answer, or one line that says why."""

import json
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.errors import NotGeoreferencedWarning
from rasterio.windows import Window
from rio_cogeo import cog_validate
from small_models import Echo

from geohier.models.card import ClassLabel

NODATA = 255
PLACE = Affine(10, 0, 500_000, 0, -10, 5_000_000)
TILES = ("--size", 32, "--overlap", 8, "--device", "cpu")

Labels = np.ndarray
Animal = Callable[[Path], Labels]
"""Writes a raster and returns the classes that it should get."""


def pixels(height: int = 45, width: int = 70, bands: int = 3, dtype: str = "uint8") -> np.ndarray:
    """Return values from 1 to 99 without ties between the first three bands."""
    values = np.random.default_rng(0).permuted(
        np.tile(np.arange(1, 100)[:bands, None], height * width), axis=0
    )
    steps = np.random.default_rng(1).integers(0, 30, size=(1, height * width)) * 3
    return (values + steps).reshape(bands, height, width).astype(dtype)


def brightest(values: np.ndarray, invalid: object = False) -> Labels:
    """Return the number of the brightest of the first three bands."""
    return np.where(invalid, NODATA, values[:3].argmax(axis=0)).astype("uint8")


def put(path: Path, values: np.ndarray, **profile: object) -> None:
    count, height, width = values.shape
    shape = {"count": count, "height": height, "width": width, "dtype": values.dtype.name}
    place = {"crs": "EPSG:32631", "transform": PLACE, "driver": "GTiff"}
    with unplaced(), rasterio.open(path, "w", **shape | place | profile) as file:
        file.write(values)


def plain(**profile: object) -> Animal:
    """Any values, written in a way that is odd."""

    def make(path: Path) -> Labels:
        put(path, pixels(), **profile)
        return brightest(pixels())

    return make


def sized(height: int, width: int) -> Animal:
    def make(path: Path) -> Labels:
        put(path, pixels(height, width))
        return brightest(pixels(height, width))

    return make


def typed(dtype: str) -> Animal:
    def make(path: Path) -> Labels:
        put(path, pixels(dtype=dtype))
        return brightest(pixels())

    return make


def with_holes(value: float, dtype: str, **profile: object) -> Animal:
    """A value here and there, each in one band only, that is no data."""

    def make(path: Path) -> Labels:
        values = pixels(dtype=dtype)
        holes = np.zeros(values.shape, bool)
        holes[0, 5, 6] = holes[1, 20:30, 33] = holes[2, 44, 69] = True
        values[holes] = value
        put(path, values, **profile)
        return brightest(values, holes.any(axis=0))

    return make


def nodata_by_name(path: Path) -> Labels:
    """Bands in another order, with names."""
    values = pixels()
    put(path, values[[2, 0, 1]])
    with rasterio.open(path, "r+") as file:
        file.descriptions = ("B02", "Red", "green")
    return brightest(values)


def all_nodata(path: Path) -> Labels:
    values = np.zeros((3, 45, 70), "uint8")
    put(path, values, nodata=0)
    return brightest(values, invalid=True)


def alpha(opacity: Callable[[np.ndarray], np.ndarray]) -> Animal:
    """A fourth band that is tagged alpha."""

    def make(path: Path) -> Labels:
        values = pixels(bands=4)
        values[3] = opacity(values[3])
        put(path, values, photometric="RGB", alpha="yes")
        return brightest(values, values[3] == 0)

    return make


def outside_mask(path: Path) -> Labels:
    values = pixels()
    put(path, values)
    shown = np.ones((45, 70), bool)
    shown[:9, 50:] = False
    with rasterio.open(path, "r+") as file:
        file.write_mask(shown)
    return brightest(values, ~shown)


def lossless_jp2(path: Path) -> Labels:
    put(path, pixels(), driver="JP2OpenJPEG", QUALITY="100", REVERSIBLE="YES")
    return brightest(pixels())


ANIMALS: dict[str, Animal] = {
    "rotated": plain(transform=PLACE @ Affine.rotation(15)),
    "south up": plain(transform=Affine(10, 0, 500_000, 0, 10, 5_000_000)),
    "degrees": plain(crs="EPSG:4326", transform=Affine(1e-4, 0, 2, 0, -1e-4, 45)),
    "pixels that are not square": plain(transform=Affine(8, 0, 500_000, 0, -12, 5_000_000)),
    "across the antimeridian": plain(
        crs="EPSG:4326", transform=Affine(1e-4, 0, 179.9965, 0, -1e-4, 45)
    ),
    "beyond its zone": plain(crs="EPSG:32660", transform=Affine(10, 0, 830_000, 0, -10, 10_000)),
    "web mercator": plain(crs="EPSG:3857"),
    "drawn on a plan": plain(crs='LOCAL_CS["plan",UNIT["metre",1]]'),
    "NaN": with_holes(np.nan, "float32"),
    "infinite": with_holes(-np.inf, "float32"),
    "NaN is nodata": with_holes(np.nan, "float64", nodata=np.nan),
    "-9999 is nodata": with_holes(-9999, "int16", nodata=-9999),
    "0 is nodata": with_holes(0, "uint8", nodata=0),
    "all nodata": all_nodata,
    "masked": outside_mask,
    "alpha": alpha(lambda band: np.where(np.arange(70) < 9, 0, NODATA)),
    "near infrared tagged alpha": alpha(lambda band: band),
    "wholly transparent": alpha(np.zeros_like),
    "other order": nodata_by_name,
    "one pixel": sized(1, 1),
    "one row": sized(1, 100),
    "one column": sized(100, 1),
    "two by two": sized(2, 2),
    "smaller than a tile": sized(20, 31),
    "striped": plain(blockysize=1),
    "one strip": plain(blockysize=45),
    "planar": plain(interleave="band", tiled=True, blockxsize=16, blockysize=16),
    "planar strips": plain(interleave="band", blockysize=3, compress="lzw"),
    "big endian": plain(endianness="big", compress="deflate"),
    "BigTIFF": plain(bigtiff="yes"),
    "jp2": lossless_jp2,
    "int8": typed("int8"),
    "uint32": typed("uint32"),
    "int64": typed("int64"),
    "float64": typed("float64"),
    "without a CRS": plain(crs=None),
    "without a place": plain(crs=None, transform=Affine.identity()),
}


LAYERS = ("--probabilities", "--confidence", "--entropy")


def listing(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def is_strict_cog(path: Path) -> bool:
    with unplaced():
        return cog_validate(path, strict=True, quiet=True) == (True, [], [])


@contextmanager
def unplaced() -> Iterator[None]:
    """Let rasters lie nowhere."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        yield


@pytest.mark.parametrize("name", ANIMALS)
def test_an_odd_raster_gets_its_classes_on_its_own_grid(
    name: str, tmp_path: Path, run: Callable, echo: Echo
) -> None:
    scene, out = tmp_path / "scene.tif", tmp_path / "map.tif"
    expected = ANIMALS[name](scene)
    words = (*TILES, "--model", "echo", *LAYERS)
    words += ("--allow-ungeoreferenced",) if name.startswith("without") else ()

    inspected = run("inspect", scene, "--json")
    planned = run("plan", scene, *words, "--json")
    before = listing(tmp_path)
    tried = len(echo.seen)
    predicted = run("predict", scene, "--out", out, *words, "--quiet")

    assert (inspected.code, planned.code, predicted.code) == (0, 0, 0), predicted.err
    assert (inspected.err, planned.err, predicted.err) == ("", "", "")
    layers = {f"map_{layer[2:]}.tif" for layer in LAYERS}
    assert listing(tmp_path) - before == {"map.tif", "map.tif.run.json", *layers}
    for described in (inspected.json, planned.json):
        assert (described["height"], described["width"]) == expected.shape
    with unplaced(), rasterio.open(scene) as source:
        place = (source.crs, source.transform, source.shape)
    for path in tmp_path.glob("map*.tif"):
        with unplaced(), rasterio.open(path) as written:
            assert (written.crs, written.transform, written.shape) == place
            assert written.nodata == NODATA
            values = written.read()
        np.testing.assert_array_equal(values == NODATA, [expected == NODATA] * len(values))
        assert is_strict_cog(path)
        if path == out:
            np.testing.assert_array_equal(values, expected[None])
    if (expected == NODATA).all():
        assert len(echo.seen) == tried, "the model was run on tiles without a pixel"


def text(path: Path) -> None:
    path.write_text("a raster, once")


def head_only(path: Path) -> None:
    put(path, pixels())
    path.write_bytes(path.read_bytes()[:100])


def vrt_of_the_network(path: Path) -> None:
    path.write_text(
        '<VRTDataset rasterXSize="4" rasterYSize="4"><VRTRasterBand dataType="Byte" band="1">'
        "<SimpleSource><SourceFilename>/vsicurl/http://127.0.0.1:1/a.tif</SourceFilename>"
        "</SimpleSource></VRTRasterBand></VRTDataset>"
    )


def placed_by_points(path: Path) -> None:
    put(path, pixels(), crs=None, transform=Affine.identity())
    points = [GroundControlPoint(row, col, 5e5 + col, 5e6 - row) for row, col in CORNERS]
    with unplaced(), rasterio.open(path, "r+") as file:
        file.gcps = (points, CRS.from_epsg(32631))


CORNERS = ((0, 0), (0, 70), (45, 0), (45, 70))


def named(*names: str) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        put(path, pixels())
        with rasterio.open(path, "r+") as file:
            file.descriptions = names

    return make


def scaled(path: Path) -> None:
    put(path, pixels())
    with rasterio.open(path, "r+") as file:
        file.scales = (1e-4,) * 3


def written(values: np.ndarray | None = None, **profile: object) -> Callable[[Path], None]:
    return lambda path: put(path, pixels() if values is None else values, **profile)


def sparse(side: int) -> Callable[[Path], None]:
    """A square of which only one block, in the middle, holds data."""

    def make(path: Path) -> None:
        with hollow(path, side, block=512) as file:
            at = side // 1024 * 512
            file.write(pixels(512, 512), window=Window(at, at, 512, 512))

    return make


def bomb(path: Path) -> None:
    """A small file whose only block unpacks to 768 MiB."""
    hollow(path, 16_384, block=16_384).close()


def hollow(path: Path, side: int, *, block: int) -> rasterio.io.DatasetWriter:
    """Open a raster without any block for writing."""
    layout = {"tiled": True, "blockxsize": block, "blockysize": block, "compress": "deflate"}
    shape = {"count": 3, "height": side, "width": side, "dtype": "uint8", "nodata": 0}
    place = {"crs": "EPSG:32631", "transform": PLACE, "driver": "GTiff"}
    return rasterio.open(path, "w", **shape, **place, **layout, sparse_ok=True, bigtiff="yes")


NOT_A_RASTER = {
    "empty": (Path.touch, "is empty (0 bytes)"),
    "text": (text, "is not a raster that geohier reads"),
    "folder": (Path.mkdir, ""),
    "missing": (lambda path: None, "no such file"),
    "device": (lambda path: path.symlink_to("/dev/null"), "is a pipe or a device"),
    "head only": (head_only, "cannot be read"),
    "complex": (written(np.ones((3, 9, 9), "complex64")), "no bands of real numbers"),
    "no area": (written(transform=Affine(0, 0, 5e5, 0, 0, 5e6)), "pixels without an area"),
    "network": (vrt_of_the_network, "only local files may be named"),
    "bomb": (bomb, "unpack to 768 MiB, more than 256"),
}
NOT_FOR_THE_MODEL = {
    "no CRS": (written(crs=None), 3, "does not say where it lies"),
    "no geotransform": (written(transform=Affine.identity()), 3, "does not say where it lies"),
    "points": (placed_by_points, 3, "ground control points"),
    "rotated pole": (
        written(crs="+proj=ob_tran +o_proj=longlat +o_lon_p=0 +o_lat_p=40 +lon_0=10"),
        3,
        "cannot be kept in a GeoTIFF",
    ),
    "two bands": (written(pixels(bands=2)), 4, "has 2 bands without names, the model reads 3 (red"),
    "six bands": (written(np.tile(pixels(), (2, 1, 1))), 4, "the raster has 6 bands"),
    "other names": (named("B08", "B04", "B03"), 4, "are B08 B04 B03, the model reads red green"),
    "other units": (written(pixels(dtype="uint16") * 100), 4, "the model was trained on (uint8)"),
    "other scale": (scaled, 4, "has scale 0.0001 and offset 0, the model was trained on 1 and 0"),
    "other GSD": (
        written(transform=Affine(30, 0, 5e5, 0, -30, 5e6)),
        4,
        "has a GSD of 30 m, the model was trained on 8 to 12 m",
    ),
}


def refused(command: str, scene: Path, tmp_path: Path, run: Callable, code: int, says: str) -> None:
    """Run a command that has to fail in one line, and to leave everything as it is."""
    words = ("--model", "echo", "--out", tmp_path / "map.tif") if command != "inspect" else ()
    before = listing(tmp_path)
    result = run(command, scene, *words)
    assert (result.code, result.out) == (code, ""), result.err
    assert result.err.startswith("geohier: ")
    assert len(result.err.splitlines()) == 1
    assert says in result.err
    assert listing(tmp_path) == before


@pytest.mark.parametrize("name", NOT_A_RASTER)
def test_what_is_no_raster_is_refused_in_one_line(
    name: str, tmp_path: Path, run: Callable, echo: Echo
) -> None:
    make, says = NOT_A_RASTER[name]
    make(tmp_path / "scene.tif")
    for command in ("predict", "plan", "inspect"):
        refused(command, tmp_path / "scene.tif", tmp_path, run, 3, says)


@pytest.mark.parametrize("name", NOT_FOR_THE_MODEL)
def test_a_raster_that_the_model_cannot_read_is_described_but_not_predicted(
    name: str, tmp_path: Path, run: Callable, echo: Echo
) -> None:
    echo.expects(high=90)
    echo.card = replace(echo.card, gsd_m=(8, 12))
    make, code, says = NOT_FOR_THE_MODEL[name]
    make(tmp_path / "scene.tif")
    assert run("inspect", tmp_path / "scene.tif").code == 0
    for command in ("predict", "plan"):
        refused(command, tmp_path / "scene.tif", tmp_path, run, code, says)


def test_a_name_that_is_not_utf8_is_refused_in_one_line(
    tmp_path: Path, run: Callable, echo: Echo
) -> None:
    scene = tmp_path / os.fsdecode(b"sc\xffne.tif")
    try:
        scene.write_bytes(b"II*\x00")
    except OSError:
        pytest.skip("names are UTF-8 here")
    for command in ("predict", "plan", "inspect"):
        refused(command, scene, tmp_path, run, 3, r"sc\xffne.tif: its name is not UTF-8")
    put(tmp_path / "good.tif", pixels())
    result = run("predict", tmp_path / "good.tif", "-m", "echo", "-o", scene.with_suffix(".out"))
    assert (result.code, len(result.err.splitlines())) == (2, 1)


def test_half_a_file_gives_half_a_map_and_says_so(
    tmp_path: Path, run: Callable, echo: Echo
) -> None:
    scene, out = tmp_path / "scene.tif", tmp_path / "map.tif"
    put(scene, pixels(64, 64), tiled=True, blockxsize=16, blockysize=16, compress="deflate")
    scene.write_bytes(scene.read_bytes()[: scene.stat().st_size // 2])

    assert run("plan", scene, "-m", "echo", *TILES).code == 0
    assert "cannot be decoded" in run("inspect", scene).err
    result = run("predict", scene, "-m", "echo", "-o", out, *TILES, "--quiet")

    assert (result.code, result.err) == (6, "")
    lost = json.loads((tmp_path / "map.tif.run.json").read_text())["failures"]
    assert f"{len(lost)} blocks could not be read and became nodata" in result.out
    expected = brightest(pixels(64, 64))
    for failure in lost:
        block = failure["unreadable_block"]
        rows, cols = (slice(block[at], block[at] + 16) for at in ("row_off", "col_off"))
        expected[rows, cols] = NODATA
    assert 4 <= len(lost) <= 12
    with rasterio.open(out) as labels:
        np.testing.assert_array_equal(labels.read(1), expected)
    again = run("predict", scene, "-m", "echo", "-o", out, *TILES, "--quiet")
    assert (again.code, again.out) == (6, f"{out}: 64 x 64 px, up to date\n")
    strict = run("predict", scene, "-m", "echo", "-o", tmp_path / "x.tif", *TILES, "--strict", "-q")
    assert (strict.code, len(strict.err.splitlines())) == (3, 1)
    assert "cannot be read" in strict.err


def test_tiles_of_a_sparse_file_that_hold_nothing_never_reach_the_model(
    tmp_path: Path, run: Callable, echo: Echo
) -> None:
    scene, out = tmp_path / "scene.tif", tmp_path / "map.tif"
    sparse(4096)(scene)
    words = ("-m", "echo", "--size", 512, "--overlap", 0, "--device", "cpu")
    plan = run("plan", scene, *words, "--json").json
    assert plan["skipped_share"] == 63 / 64
    echo.seen.clear()
    assert run("predict", scene, "-o", out, *words).code == 0
    assert echo.seen == [(1, 3, 512, 512)]
    with rasterio.open(out) as labels:
        values = labels.read(1)
    assert (values != NODATA).sum() == 512 * 512
    np.testing.assert_array_equal(values[2048:2560, 2048:2560], brightest(pixels(512, 512)))


def test_a_raster_of_any_size_is_planned_at_once_and_refused_where_no_disk_could_hold_the_map(
    tmp_path: Path, run: Callable, echo: Echo
) -> None:
    scene = tmp_path / "scene.tif"
    sparse(300_000)(scene)
    plan = run("plan", scene, "-m", "echo", "--json").json
    assert plan["height"] == 300_000
    assert 0.9999 < plan["skipped_share"] < 1
    assert run("inspect", scene, "--json").json["width"] == 300_000
    for command in ("plan", "predict"):
        words = ("-m", "echo", "-o", tmp_path / "map.tif", "--max-pixels", 10**9)
        result = run(command, scene, *words)
        assert (result.code, len(result.err.splitlines())) == (3, 1)
        assert "= 90000000000 px, more than the 1000000000 allowed" in result.err
    echo.seen.clear()
    result = run("predict", scene, "-m", "echo", "-o", tmp_path / "map.tif", "--probabilities")
    assert (result.code, echo.seen) == (5, [])
    assert "GiB free, the result needs about" in result.err


def test_more_than_255_classes_are_written_in_two_bytes(
    tmp_path: Path, run: Callable, echo: Echo
) -> None:
    echo.card = replace(
        echo.card,
        classes=tuple(ClassLabel(name=f"class {k}", color="#102030") for k in range(300)),
    )
    scene, out = tmp_path / "scene.tif", tmp_path / "map.tif"
    values = pixels()
    values[:, :5] = 0
    put(scene, values, nodata=0)
    assert run("predict", scene, "-m", "echo", "-o", out, *TILES).code == 0
    with rasterio.open(out) as labels:
        assert (labels.dtypes, labels.nodata) == (("uint16",), 65535)
        expected = np.where(values.any(axis=0), values.argmax(axis=0), 65535)
        np.testing.assert_array_equal(labels.read(1), expected)
    assert is_strict_cog(out)
