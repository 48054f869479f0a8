"""Labels are found for predictions by file name."""

from pathlib import Path

import pytest

from geohier.data.file_names import LABEL_ENDINGS
from geohier.data.pairs import find_pairs
from geohier.data.scene import RASTER_SUFFIXES
from geohier.errors import InputError
from geohier.studies.pairing import match_labels


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    for name in (
        "out/a.tif",
        "out/a_confidence.tif",
        "out/b.tif",
        "masks/a_mask.png",
        "masks/b.tif",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def test_labels_in_a_folder_are_matched_by_name(folders: Path) -> None:
    pairs = match_labels([folders / "out"], folders / "masks")
    found = {pair.name: (pair.prediction.name, pair.labels.name) for pair in pairs}
    assert found == {"a": ("a.tif", "a_mask.png"), "b": ("b.tif", "b.tif")}


@pytest.mark.parametrize("suffix", RASTER_SUFFIXES)
@pytest.mark.parametrize("ending", ["", *LABEL_ENDINGS])
def test_labels_that_init_pairs_with_an_image_are_found_for_its_map(
    tmp_path: Path, ending: str, suffix: str
) -> None:
    for name in (f"images/a{suffix}", f"masks/a{ending}{suffix}", "maps/a.tif"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    ((image, mask),) = find_pairs(tmp_path)
    (pair,) = match_labels([tmp_path / "maps"], tmp_path / "masks", tmp_path / "images")
    assert (pair.image, pair.labels) == (image, mask)


def test_one_label_file_serves_all_predictions(folders: Path) -> None:
    pairs = match_labels([folders / "out"], folders / "masks" / "b.tif")
    assert [pair.labels.name for pair in pairs] == ["b.tif", "b.tif"]


def test_images_are_matched_too(folders: Path) -> None:
    (pair,) = match_labels([folders / "out/b.tif"], folders / "masks", folders / "masks")
    assert pair.image == folders / "masks" / "b.tif"


def test_two_predictions_of_one_name_keep_apart(folders: Path) -> None:
    (folders / "out2").mkdir()
    twice = [folders / "out/b.tif", folders / "out2/b.tif"]
    pairs = match_labels(twice, folders / "masks" / "b.tif")
    assert len({pair.name for pair in pairs}) == 2


def test_no_or_two_labels_for_a_prediction_are_refused(folders: Path) -> None:
    (folders / "masks/a.tif").touch()
    with pytest.raises(InputError, match=r"a.tif and a_mask.png"):
        match_labels([folders / "out"], folders / "masks")
    (folders / "out/c.tif").touch()
    with pytest.raises(InputError, match="no file of that name"):
        match_labels([folders / "out/c.tif"], folders / "masks")


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    """A folder of images with their masks beside them, and of maps with theirs."""
    for name in ("a.tif", "a_mask.tif", "b.tif", "b-labels.png", "b_confidence.tif"):
        (tmp_path / name).touch()
    return tmp_path


def test_in_one_folder_masks_are_the_labels_of_what_lies_beside_them(flat: Path) -> None:
    pairs = match_labels([flat], flat)
    found = [(pair.prediction.name, pair.labels.name) for pair in pairs]
    assert found == [("a.tif", "a_mask.tif"), ("b.tif", "b-labels.png")]


def test_images_and_masks_may_lie_in_one_folder(flat: Path) -> None:
    (flat / "out").mkdir()
    (flat / "out" / "a.tif").touch()
    (pair,) = match_labels([flat / "out"], flat, flat)
    assert (pair.labels.name, pair.image and pair.image.name) == ("a_mask.tif", "a.tif")


def test_a_map_that_is_named_like_labels_is_a_map_where_nothing_else_is(tmp_path: Path) -> None:
    (tmp_path / "a_mask.tif").touch()
    (pair,) = match_labels([tmp_path], tmp_path / "a_mask.tif")
    assert pair.prediction.name == "a_mask.tif"


def test_a_folder_without_predictions_is_refused(folders: Path) -> None:
    (folders / "empty").mkdir()
    with pytest.raises(InputError, match="holds no prediction"):
        match_labels([folders / "empty"], folders / "masks")
