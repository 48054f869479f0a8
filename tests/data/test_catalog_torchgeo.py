"""torchgeo's data sets as lists of labelled scenes, on disk as their authors lay them out."""

import hashlib
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import rasterio
from affine import Affine
from PIL import Image

from geohier.config.schema import DataConfig, TrainConfig
from geohier.data.catalog import fetch_data, read_catalog
from geohier.data.prepare import prepare
from geohier.errors import ConfigError, InputError, ResourceError, UnsafeInputError
from geohier.geo.window import Window

type Said = dict[str, object]

SIDE = 96


def make_config(root: Path, torchgeo: Said, **data: object) -> DataConfig:
    classes = {1: "background", 2: "building"}
    both = {"root": root, "torchgeo": torchgeo, "classes": classes, "ignore": 0}
    return DataConfig.model_validate({**both, **data})


def write_chip(path: Path, *, bands: int, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(seed).integers(1, 3 if bands == 1 else 255, (SIDE, SIDE, bands))
    Image.fromarray(values.astype("uint8").squeeze()).save(path)


def write_raster(
    path: Path, place: Affine, *, bands: int = 1, side: int = SIDE, crs: str = "EPSG:2180"
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(0).integers(1, 3, (bands, side, side), dtype="uint8")
    shape = {"count": bands, "height": side, "width": side, "dtype": "uint8"}
    with rasterio.open(path, "w", driver="GTiff", crs=crs, transform=place, **shape) as target:
        target.write(values if bands == 1 else values * 80)


def write_loveda(root: Path) -> Path:
    """LoveDA: chips without georeference in PNG, of towns and of the country."""
    for split, scene, number in (
        ("Train", "Urban", 0),
        ("Train", "Urban", 1),
        ("Train", "Rural", 0),
        ("Val", "Urban", 7),
        ("Val", "Rural", 8),
    ):
        folder = root / split / scene
        write_chip(folder / "images_png" / f"{number}.png", bands=3, seed=number)
        write_chip(folder / "masks_png" / f"{number}.png", bands=1, seed=number)
    return root


def write_landcover(root: Path) -> Path:
    """LandCover.ai: orthophotos and masks on the same grids."""
    for at, name in enumerate(("M-33-20-D-c-4-2", "M-33-48-A-c-4-4", "N-34-61-B-a-1-1")):
        place = Affine(0.25, 0, 300_000 + 1000 * at, 0, -0.25, 500_000)
        write_raster(root / "images" / f"{name}.tif", place, bands=3)
        write_raster(root / "masks" / f"{name}.tif", place)
    return root


def contents(root: Path) -> dict[str, str]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_chips_with_splits_are_scenes_and_their_pixels_are_read(tmp_path: Path) -> None:
    write_loveda(tmp_path / "loveda")
    before = contents(tmp_path)
    data = make_config(tmp_path, {"dataset": "LoveDA", "root": "loveda"})
    config = {"data": data, "chips": {"size_px": 32}}
    made = prepare(
        TrainConfig.model_validate({**config, "training": {"block_px": 32, "buffer_px": 0}})
    )
    names = [one.scene.id for one in made.train]
    assert sorted(names) == [
        "Train/Rural/images_png/0",
        "Train/Urban/images_png/0",
        "Train/Urban/images_png/1",
    ]
    assert len(made.val) == 2
    whole = Window(row_off=0, col_off=0, height=SIDE, width=SIDE)
    with Image.open(made.val[0].scene.mask) as mask:
        np.testing.assert_array_equal(made.val[0].read(whole).labels, np.array(mask) - 1)
    assert contents(tmp_path) == before


def test_arguments_choose_among_the_files(tmp_path: Path) -> None:
    said: Said = {"dataset": "LoveDA", "arguments": {"scene": ["rural"]}}
    found = read_catalog(make_config(write_loveda(tmp_path), said))
    assert [(one.id, one.split) for one in found.scenes] == [("0", "train"), ("8", "val")]


def test_rasters_without_splits_judge_by_name(tmp_path: Path) -> None:
    said: Said = {"dataset": "LandCoverAIGeo", "val": ["N-34-*"]}
    found = read_catalog(make_config(write_landcover(tmp_path), said))
    assert [one.id for one in found.train] == ["M-33-20-D-c-4-2", "M-33-48-A-c-4-4"]
    (judge,) = found.val
    assert judge.image == tmp_path / "images" / "N-34-61-B-a-1-1.tif"
    assert judge.mask == tmp_path / "masks" / "N-34-61-B-a-1-1.tif"


def test_the_cut_chips_of_landcover_are_scenes_too(tmp_path: Path) -> None:
    for split, names in {"train": ["M-33_0", "M-33_1"], "val": ["M-34_0"], "test": []}.items():
        (tmp_path / f"{split}.txt").write_text("\n".join(names))
        for seed, name in enumerate(names):
            write_chip(tmp_path / "output" / f"{name}.jpg", bands=3, seed=seed)
            write_chip(tmp_path / "output" / f"{name}_m.png", bands=1, seed=seed)
    found = read_catalog(make_config(tmp_path, {"dataset": "LandCoverAI"}))
    assert [one.id for one in found.train] == ["M-33_0", "M-33_1"]
    assert found.val[0].mask == tmp_path / "output" / "M-34_0_m.png"


def write_naip(root: Path, *, places: int = 2) -> None:
    for at in range(places):
        place = Affine(1, 0, 500_000 + 1000 * at, 0, -1, 4_400_000)
        name = f"m_390750{at}_ne_18_060_20190{at + 1}01.tif"
        write_raster(root / name, place, bands=4, crs="EPSG:26918")


def test_images_take_the_labels_of_another_data_set_that_lie_over_them(tmp_path: Path) -> None:
    write_naip(tmp_path / "naip")
    lulc = tmp_path / "de" / "de_lulc_2018_2022-Edition.tif"
    write_raster(lulc, Affine(10, 0, 499_500, 0, -10, 4_400_400), side=200, crs="EPSG:26918")
    labels: Said = {"dataset": "ChesapeakeDE", "root": "de"}
    said: Said = {"dataset": "NAIP", "root": "naip", "labels": labels, "val": ["m_3907501*"]}
    train, val = read_catalog(make_config(tmp_path, said)).scenes
    assert (train.split, val.split) == ("train", "val")
    assert train.image.parent == tmp_path / "naip"
    assert (train.mask, val.mask) == (lulc, lulc)


def test_bands_in_files_of_their_own_are_chosen_by_name(tmp_path: Path) -> None:
    place = Affine(30, 0, 500_000, 0, -30, 4_400_000)
    product = "LC08_L2SP_014032_20200701_20200912_02_T1"
    for band in ("SR_B1", "SR_B4", "SR_B5", "QA_PIXEL"):
        write_raster(tmp_path / "l8" / f"{product}_{band}.TIF", place, crs="EPSG:32618")
    write_raster(tmp_path / "lu" / "cover.tif", place, crs="EPSG:32618")
    labels: Said = {"dataset": "RasterDataset", "root": "lu"}
    said: Said = {"dataset": "Landsat8", "root": "l8", "labels": labels}
    config = make_config(tmp_path, said, image_columns=["SR_B5", "SR_B4"])
    (scene,) = read_catalog(config).scenes
    assert scene.image.name == f"{product}_SR_B5.TIF"
    assert [path.name for path in scene.more] == [f"{product}_SR_B4.TIF"]
    assert scene.mask.name == "cover.tif"
    with pytest.raises(ConfigError, match="Landsat8 has no image among SR_B1 SR_B2 SR_B3"):
        read_catalog(make_config(tmp_path, said))


def test_of_label_rasters_of_several_years_the_images_own_is_taken(tmp_path: Path) -> None:
    write_naip(tmp_path / "naip", places=1)
    for year in (2013, 2018, 2019):
        path = tmp_path / "de" / f"de_lulc_{year}_2022-Edition.tif"
        write_raster(path, Affine(10, 0, 499_500, 0, -10, 4_400_400), side=200, crs="EPSG:26918")
    labels: Said = {"dataset": "ChesapeakeDE", "root": "de"}
    said: Said = {"dataset": "NAIP", "root": "naip", "labels": labels}
    (scene,) = read_catalog(make_config(tmp_path, said)).scenes
    assert scene.mask.name == "de_lulc_2019_2022-Edition.tif"


def two_label_rasters(root: Path, *, first_covers_all: bool) -> Said:
    write_naip(root / "naip", places=1)
    side = 60 if first_covers_all else 8
    for at, name in enumerate(("west", "east")):
        corner = Affine(10, 0, 499_980 + 60 * at, 0, -10, 4_400_000)
        width = side if at == 0 else 8
        write_raster(root / "lu" / f"{name}.tif", corner, side=width, crs="EPSG:26918")
    labels: Said = {"dataset": "RasterDataset", "root": "lu"}
    return {"dataset": "NAIP", "root": "naip", "labels": labels}


def test_of_several_label_rasters_the_one_over_all_of_an_image_is_taken(tmp_path: Path) -> None:
    said = two_label_rasters(tmp_path, first_covers_all=True)
    (scene,) = read_catalog(make_config(tmp_path, said)).scenes
    assert scene.mask.name == "west.tif"


def test_an_image_between_two_label_rasters_is_refused(tmp_path: Path) -> None:
    said = two_label_rasters(tmp_path, first_covers_all=False)
    with pytest.raises(InputError, match="lies under 2 label rasters: merge them into one"):
        read_catalog(make_config(tmp_path, said))


def test_images_beside_all_labels_are_refused(tmp_path: Path) -> None:
    write_naip(tmp_path / "naip")
    write_raster(tmp_path / "lu" / "far.tif", Affine(10, 0, 0, 0, -10, 0), crs="EPSG:26918")
    labels: Said = {"dataset": "RasterDataset", "root": "lu"}
    said: Said = {"dataset": "NAIP", "root": "naip", "labels": labels}
    with pytest.raises(InputError, match=r"none of the 2 images .* lies under a label raster"):
        read_catalog(make_config(tmp_path, said))


def test_a_raster_that_leads_to_the_network_is_not_opened(tmp_path: Path) -> None:
    write_landcover(tmp_path)
    vrt = (
        '<VRTDataset rasterXSize="9" rasterYSize="9"><VRTRasterBand dataType="Byte" band="1">'
        "<SimpleSource><SourceFilename>/vsicurl/http://127.0.0.1:9/a.tif</SourceFilename>"
        "</SimpleSource></VRTRasterBand></VRTDataset>"
    )
    (tmp_path / "images" / "N-34-61-B-a-1-1.tif").write_text(vrt)
    with pytest.raises(UnsafeInputError, match=r"N-34-61-B-a-1-1\.tif"):
        read_catalog(make_config(tmp_path, {"dataset": "LandCoverAIGeo"}))


def nothing(root: Path) -> None:
    pass


def packed_by_its_own_hand(root: Path) -> None:
    for suffix in ("aa", "ab"):
        with tarfile.open(root / f"WP.tar.gz{suffix}", "w:gz") as archive:
            archive.addfile(tarfile.TarInfo("WP/image.h5"))


def packed(root: Path) -> None:
    with zipfile.ZipFile(root / "landcover.ai.v1.zip", "w") as archive:
        archive.writestr("images/a.tif", "")


@pytest.mark.parametrize(
    ("prepare_folder", "said", "error", "says"),
    [
        (
            nothing,
            {"dataset": "LoveDa"},
            ConfigError,
            "no data set of rasters LoveDa; did you mean",
        ),
        (nothing, {"dataset": "os.system"}, ConfigError, "no data set of rasters os.system"),
        (
            nothing,
            {"dataset": "OpenStreetMap"},
            ConfigError,
            "no data set of rasters OpenStreetMap",
        ),
        (
            nothing,
            {"dataset": "LoveDA", "arguments": {"download": True}},
            ConfigError,
            "LoveDA takes no argument download here: scene may be given",
        ),
        (
            write_loveda,
            {"dataset": "LoveDA", "arguments": {"scene": ["sea"]}},
            ConfigError,
            r"LoveDA refuses {'scene': \('sea',\)}",
        ),
        (
            write_loveda,
            {"dataset": "LoveDA", "val": ["0"]},
            ConfigError,
            "LoveDA has the splits train val test: name those that judge in data.splits.val",
        ),
        (
            nothing,
            {"dataset": "LoveDA"},
            InputError,
            "does not hold LoveDA as torchgeo lays it out",
        ),
        (packed, {"dataset": "LandCoverAIGeo"}, InputError, "is still packed, or not whole"),
        (
            write_landcover,
            {"dataset": "RasterDataset"},
            ConfigError,
            "RasterDataset has no files of images with masks: name the data set of its labels",
        ),
        (
            write_loveda,
            {"dataset": "LoveDA", "labels": {"dataset": "NAIP"}},
            ConfigError,
            "LoveDA is no data set of georeferenced rasters",
        ),
        (nothing, {"dataset": "NAIP", "root": "/vsizip/a.zip"}, UnsafeInputError, "no folder on"),
    ],
)
def test_what_cannot_be_opened_is_refused_in_one_line_and_nothing_is_written(
    tmp_path: Path,
    prepare_folder: Callable[[Path], object],
    said: Said,
    error: type[Exception],
    says: str,
) -> None:
    prepare_folder(tmp_path)
    before = contents(tmp_path)
    with pytest.raises(error, match=says) as found:
        read_catalog(make_config(tmp_path, said))
    assert "\n" not in str(found.value)
    assert contents(tmp_path) == before


def test_a_data_set_that_unpacks_by_its_own_hand_writes_nothing_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "h5py", ModuleType("h5py"))  # it asks for it, and no more
    packed_by_its_own_hand(tmp_path)
    before = contents(tmp_path)
    with pytest.raises(InputError, match="is still packed, or not whole"):
        read_catalog(make_config(tmp_path, {"dataset": "DigitalTyphoon"}))
    assert contents(tmp_path) == before
    assert tarfile.TarFile.extractall.__module__ == "tarfile"  # as it was before


def test_splits_that_there_are_not_are_named(tmp_path: Path) -> None:
    config = make_config(tmp_path, {"dataset": "LoveDA"}, splits={"train": ["learn"]})
    with pytest.raises(ConfigError, match="the splits train val test, none of which is train"):
        read_catalog(config)


def test_files_that_a_data_set_has_not_are_named(tmp_path: Path) -> None:
    config = make_config(
        write_loveda(tmp_path), {"dataset": "LoveDA"}, image_columns=["image", "dem"]
    )
    with pytest.raises(ConfigError, match="LoveDA has no dem among image mask: name its files in"):
        read_catalog(config)


def test_fetching_is_torchgeos_and_only_when_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import torchgeo.datasets.loveda

    def fetch(url: str, root: str, **_: object) -> None:
        print("fetched", url)
        write_loveda(Path(root))

    monkeypatch.setattr(torchgeo.datasets.loveda, "download_and_extract_archive", fetch)
    config = make_config(tmp_path, {"dataset": "LoveDA"})
    with pytest.raises(InputError, match="does not hold LoveDA"):
        read_catalog(config)
    fetch_data(config)
    assert len(read_catalog(config).scenes) == 5
    assert capsys.readouterr().out == ""


def test_a_fetch_that_fails_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torchgeo.datasets.loveda

    def fail(*_: object, **__: object) -> None:
        raise OSError("no route to host\nat all")

    monkeypatch.setattr(torchgeo.datasets.loveda, "download_and_extract_archive", fail)
    with pytest.raises(ResourceError, match=r"LoveDA cannot be fetched into .*: no route to host"):
        fetch_data(make_config(tmp_path, {"dataset": "LoveDA"}))
    with pytest.raises(ConfigError, match="torchgeo cannot fetch NAIP: put its files into"):
        fetch_data(make_config(tmp_path, {"dataset": "NAIP"}))
