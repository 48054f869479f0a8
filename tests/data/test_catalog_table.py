"""Tables of labelled scenes: CSV and GeoPackage, anywhere."""

from pathlib import Path

import geopandas
import pytest
import shapely

from geohier.config.schema import DataConfig
from geohier.data.catalog import read_catalog
from geohier.errors import InputError


def make_config(root: Path, **data: object) -> DataConfig:
    return DataConfig.model_validate({"root": root, "classes": {0: "ground", 1: "roof"}, **data})


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    """A folder with the files of scenes a to d."""
    folder = tmp_path / "scenes"
    folder.mkdir()
    for name in "abcd":
        for kind in ("image", "s1", "mask"):
            (folder / f"{name}_{kind}.tif").touch()
    return folder


def write_csv(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_a_csv_lies_anywhere_and_its_paths_start_there(scenes: Path, tmp_path: Path) -> None:
    lists = tmp_path / "lists"
    lists.mkdir()
    write_csv(
        lists / "pairs.csv",
        "id,split,image,s1,label,windows\n"
        "first,train,../scenes/a_image.tif,../scenes/a_s1.tif,../scenes/a_mask.tif,\n"
        f",validation,{scenes}/b_image.tif,{scenes}/b_s1.tif,{scenes}/b_mask.tif,0 8 4 2; 4 0 1 1\n"
        "third,test,gone.tif,,,\n",
    )
    config = make_config(tmp_path, catalog="lists/pairs.csv", image_columns=["image", "s1"])
    a, b = read_catalog(config).scenes
    assert (a.id, a.split, b.id, b.split) == ("first", "train", "b_image", "val")
    assert a.image.samefile(scenes / "a_image.tif")
    assert (b.mask, b.more) == (scenes / "b_mask.tif", (scenes / "b_s1.tif",))
    assert [window.col_off for window in b.windows] == [8, 0]


@pytest.mark.parametrize("suffix", [".gpkg", ".geojson", ".fgb"])
def test_a_table_may_have_footprints(scenes: Path, suffix: str) -> None:
    columns = {
        "id": ["a", "b", "c"],
        "fold": [1.0, 2.0, None],
        "image": [f"{name}_image.tif" for name in "abc"],
        "mask": [f"{name}_mask.tif" for name in "abc"],
        "windows": [None, "0 0 2 2", None],
    }
    boxes = [shapely.box(at, 0, at + 1, 1) for at in range(3)]
    frame = geopandas.GeoDataFrame(columns, geometry=boxes, crs="EPSG:4326")
    frame.to_file(scenes / f"pairs{suffix}")
    config = make_config(
        scenes,
        catalog=f"pairs{suffix}",
        splits={"column": "fold", "train": [1], "val": ["2"]},
    )
    a, b = read_catalog(config).scenes
    assert (a.id, a.split, a.windows, b.id, b.split) == ("a", "train", (), "b", "val")
    assert b.windows[0].height == 2


def test_the_one_layer_with_footprints_is_the_table(scenes: Path) -> None:
    path = scenes / "pairs.gpkg"
    columns = {"split": ["train"], "image": ["a_image.tif"], "mask": ["a_mask.tif"]}
    boxes = [shapely.box(0, 0, 1, 1)]
    geopandas.GeoDataFrame(columns, geometry=boxes, crs="EPSG:4326").to_file(path, layer="pairs")
    styles = geopandas.GeoDataFrame({"style": ["red"]}, geometry=[None], crs=None)
    import pyogrio

    pyogrio.write_dataframe(styles.drop(columns="geometry"), path, layer="layer_styles")
    assert read_catalog(make_config(scenes, catalog="pairs.gpkg")).train[0].id == "a_image"
    geopandas.GeoDataFrame(columns, geometry=boxes, crs="EPSG:4326").to_file(path, layer="more")
    with pytest.raises(InputError, match=r"pairs.gpkg holds the layers pairs more: keep one"):
        read_catalog(make_config(scenes, catalog="pairs.gpkg"))


def test_splits_may_be_called_otherwise(scenes: Path) -> None:
    rows = [
        f"{name}_image.tif,{name}_mask.tif,{split}"
        for name, split in zip("abcd", "0123", strict=True)
    ]
    write_csv(scenes / "folds.csv", "\n".join(["image,mask,fold", *rows]))
    splits = {"column": "fold", "train": [0, 1], "val": [3]}
    found = read_catalog(make_config(scenes, catalog="folds.csv", splits=splits))
    assert [one.id[0] for one in found.train] == ["a", "b"]
    assert [one.id[0] for one in found.val] == ["d"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("image,mask\nx.tif,y.tif\n", "no column split among image mask: the columns are scene"),
        ("split,image,mask\ntrain,x.tif\n", "pairs.csv: line 2: mask is empty: fill it in"),
        ("split,image,mask\ntrain,x.tif,y.tif\n", "x.tif: there is no such file: it is the image"),
        ("split,image,mask\ndev,x.tif,y.tif\n", r"give scenes of the split train or training"),
        ("split,image,mask\ntrain,x.tif," + "y" * 200_000 + "\n", "cannot be read as text: field"),
        ("image,label,gt,split\n", "no column mask among image label gt split"),
    ],
    ids=["no split", "no mask", "no file", "no train", "a field too long", "two masks"],
)
def test_a_table_with_mistakes_is_refused_in_one_line(scenes: Path, text: str, says: str) -> None:
    write_csv(scenes / "pairs.csv", text)
    with pytest.raises(InputError, match=says) as found:
        read_catalog(make_config(scenes, catalog="pairs.csv"))
    assert "\n" not in str(found.value)


def test_a_table_that_is_not_there_is_refused(scenes: Path) -> None:
    with pytest.raises(InputError, match=r"gone.csv: no such file"):
        read_catalog(make_config(scenes, catalog="gone.csv"))


def test_scenes_have_one_source(scenes: Path) -> None:
    pairs = [{"image": "a_image.tif", "mask": "a_mask.tif"}]
    with pytest.raises(ValueError, match="train and catalog both say which scenes there are"):
        make_config(scenes, catalog="pairs.csv", train=pairs)
    with pytest.raises(ValueError, match="dev is a name of train and of val"):
        make_config(scenes, splits={"train": ["dev"], "val": ["dev"]})
