from pathlib import Path

import pytest
from PIL import Image

from geohier.data.pairs import find_pairs
from geohier.errors import InputError


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_pairs_are_found_by_the_usual_names(tmp_path: Path) -> None:
    layouts = [
        ("img/x.jpg", "labels/x.png"),
        ("images/x.tif", "masks/x_mask.tif"),
        ("x.png", "x_mask.png"),
        ("x.tif", "x_label.png"),
    ]
    for at, (image, mask) in enumerate(layouts):
        for name in (image, mask):
            path = tmp_path / str(at) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("L", (4, 4)).save(path)
        root = tmp_path / str(at)
        assert find_pairs(root) == ((root / image, root / mask),)


def test_an_image_without_a_mask_is_named(tmp_path: Path) -> None:
    for name in ("a.png", "a_mask.png", "b.png"):
        Image.new("L", (4, 4)).save(tmp_path / name)
    with pytest.raises(InputError, match=r"1 of 2 images have no mask \(b.png\)"):
        find_pairs(tmp_path)


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["images/a.png", "masks/a.png", "masks/a_mask.png"], r"a\.png and a_mask\.png"),
        (["a.png", "a_mask.png", "a_gt.png"], r"a_gt\.png and a_mask\.png"),
        (["images/a.png", "masks/a.png", "masks/b.png"], r"1 of 2 masks have no image \(b\.png\)"),
        (["a.png", "a_mask.png", "b_mask.png"], r"1 of 2 masks have no image \(b_mask\.png\)"),
    ],
    ids=["two masks", "two masks beside it", "no image", "no image beside it"],
)
def test_every_mask_belongs_to_one_image_alone(tmp_path: Path, names: list[str], says: str) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    with pytest.raises(InputError, match=says):
        find_pairs(tmp_path)


@pytest.mark.parametrize("stem", ["a_gt", "A-Mask", "_mask"])
def test_an_image_may_itself_be_named_like_a_mask(tmp_path: Path, stem: str) -> None:
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"{stem}.tif").touch()
    assert len(find_pairs(tmp_path)) == 1


@pytest.mark.parametrize(
    ("labels", "others"),
    [
        ("labels/x.gpkg", []),
        ("labels/x.json", ["labels/classes.json", "labels/x.qml"]),
        ("masks/x_labels.fgb", []),
        ("labels/x.shp", ["labels/x.dbf", "labels/x.shx", "labels/x.prj"]),
    ],
)
def test_labels_may_be_vector_files(tmp_path: Path, labels: str, others: list[str]) -> None:
    touch(tmp_path, "images/x.tif", labels, *others)
    assert find_pairs(tmp_path) == ((tmp_path / "images" / "x.tif", tmp_path / labels),)


@pytest.mark.parametrize("labels", ["x.geojson", "x.gpkg", "x_gt.fgb", "x.json"])
def test_labels_may_lie_beside_their_image_among_other_files(tmp_path: Path, labels: str) -> None:
    touch(tmp_path, "x.tif", labels, "roads.gpkg", "classes.json")
    assert find_pairs(tmp_path) == ((tmp_path / "x.tif", tmp_path / labels),)


@pytest.mark.parametrize("labels", ["roofs.gpkg", "labels/roofs.geojson"])
def test_one_vector_file_may_label_all_images(tmp_path: Path, labels: str) -> None:
    folder = tmp_path / "images" if "/" in labels else tmp_path
    touch(tmp_path, labels)
    touch(folder, "x.tif", "y.tif")
    both = ((folder / "x.tif", tmp_path / labels), (folder / "y.tif", tmp_path / labels))
    assert find_pairs(tmp_path) == both


def test_vector_files_beside_masks_are_something_else(tmp_path: Path) -> None:
    touch(tmp_path, "x.tif", "x_mask.tif", "areas.gpkg")
    assert find_pairs(tmp_path) == ((tmp_path / "x.tif", tmp_path / "x_mask.tif"),)
    touch(tmp_path, "x.gpkg")
    with pytest.raises(InputError, match=r"x.tif has 2 masks \(x_mask.tif and x.gpkg\): keep one"):
        find_pairs(tmp_path)
