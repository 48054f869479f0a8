import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from geohier.config.load import load_config
from geohier.data.catalog import read_catalog
from geohier.data.initialise import initialise
from geohier.data.labelled import inside
from geohier.data.pairs import find_pairs
from geohier.data.prepare import prepare
from geohier.errors import InputError, LabelError, OutputExistsError, ResourceError
from geohier.geo.window import Window

AddScene = Callable[..., None]


def scene(rng: np.random.Generator, side: int = 64) -> tuple[np.ndarray, ...]:
    image = rng.integers(1, 255, (3, side, side), dtype="uint8")
    return image, rng.integers(0, 2, (side, side), dtype="uint8")


def test_the_written_config_trains_as_it_is(
    add_scene: AddScene, rng: np.random.Generator, data_folder: Path
) -> None:
    for at in range(6):
        add_scene(f"s{at}", *scene(rng))
    (data_folder / "split.csv").unlink()
    done = initialise(data_folder)
    assert done.split_file == data_folder / "split.csv"
    assert (len(done.catalog.train), len(done.catalog.val)) == (5, 1)
    config = load_config(done.config_file)
    assert config.chips.size_px == 64
    assert (config.data.ignore, config.data.gsd_m) == (255, None)
    assert len(prepare(config).train) == 5


def test_a_single_scene_is_split_by_blocks_with_a_buffer(
    add_scene: AddScene, rng: np.random.Generator, data_folder: Path
) -> None:
    add_scene("only", *scene(rng, 2048))
    (data_folder / "split.csv").unlink()
    done = initialise(data_folder)
    train, val = done.catalog.train[0].windows, done.catalog.val[0].windows
    assert len(val) == 3
    whole = Window(row_off=0, col_off=0, height=2048, width=2048)
    near_val = np.zeros((2048, 2048), bool)
    for window in val:
        near_val[
            max(0, window.row_off - 64) : window.row_stop + 64,
            max(0, window.col_off - 64) : window.col_stop + 64,
        ] = True
    np.testing.assert_array_equal(inside(whole, train), ~near_val)


def test_a_split_that_is_there_is_kept(
    add_scene: AddScene, rng: np.random.Generator, data_folder: Path
) -> None:
    add_scene("a", *scene(rng))
    add_scene("b", *scene(rng), split="val")
    before = (data_folder / "split.csv").read_bytes()
    assert initialise(data_folder).split_file is None
    assert (data_folder / "split.csv").read_bytes() == before


def test_a_config_that_is_there_is_kept(
    add_scene: AddScene, rng: np.random.Generator, data_folder: Path
) -> None:
    add_scene("a", *scene(rng))
    (data_folder / "config.yaml").write_text("mine")
    with pytest.raises(OutputExistsError, match="is there already"):
        initialise(data_folder)
    assert (data_folder / "config.yaml").read_text() == "mine"


@pytest.mark.parametrize(
    ("values", "classes", "ignore"),
    [
        ([0, 255], [(0,), (255,)], None),
        ([0, 1], [(0,), (1,)], 255),
        ([0, 1, 255], [(0,), (1,)], 255),
        ([1, 2, 3], [(1,), (2,), (3,)], 255),
    ],
)
def test_label_values_become_classes_and_255_is_ignored_unless_it_is_a_class(
    add_scene: AddScene,
    rng: np.random.Generator,
    data_folder: Path,
    values: list[int],
    classes: list[tuple[int]],
    ignore: int | None,
) -> None:
    for name in "ab":
        mask = rng.choice(np.array(values, "uint8"), (64, 64))
        add_scene(name, scene(rng)[0], mask)
    data = initialise(data_folder).config.data
    assert ([one.values for one in data.classes], data.ignore) == (classes, ignore)


def test_scenes_of_different_gsd_get_one(
    add_scene: AddScene, rng: np.random.Generator, data_folder: Path
) -> None:
    for name, gsd_m in (("a", 0.1), ("b", 0.2), ("c", 0.2)):
        add_scene(name, *scene(rng), gsd_m=gsd_m)
    done = initialise(data_folder)
    assert done.config.data.gsd_m == 0.2
    assert "GSD 0.1 to 0.2 m" in done.config_file.read_text()


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.arange(4096, dtype="uint16").reshape(64, 64), "more than 100 values"),
        (np.zeros((64, 64), "uint8"), "only the value 0"),
        (np.full((64, 64), 0.5, "float32"), "label values are whole numbers"),
    ],
    ids=["an image", "one value", "fractions"],
)
def test_masks_that_are_no_labels_are_refused_and_nothing_stays(
    add_scene: AddScene,
    rng: np.random.Generator,
    data_folder: Path,
    mask: np.ndarray,
    message: str,
) -> None:
    for at in range(5):
        add_scene(f"s{at}", scene(rng)[0], mask)
    (data_folder / "split.csv").unlink()
    with pytest.raises(LabelError, match=message):
        initialise(data_folder)
    assert sorted(path.name for path in data_folder.iterdir()) == ["images", "masks"]


@contextmanager
def disk_full_after(nbytes: int) -> Iterator[None]:
    """Let this process write no file beyond so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (nbytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("nbytes", [0, 500], ids=["before the split", "before the config"])
def test_a_full_disk_is_a_lack_of_the_machine_and_leaves_neither_split_nor_config(
    add_scene: AddScene, rng: np.random.Generator, data_folder: Path, nbytes: int
) -> None:
    for at in range(5):
        add_scene(f"s{at}", *scene(rng))
    (data_folder / "split.csv").unlink()
    with pytest.raises(ResourceError, match="cannot be written"), disk_full_after(nbytes):
        initialise(data_folder)
    assert not list(data_folder.glob("*.csv"))
    assert not list(data_folder.glob("*.yaml"))


def test_an_interruption_leaves_no_split_behind(
    add_scene: AddScene,
    rng: np.random.Generator,
    data_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    for at in range(5):
        add_scene(f"s{at}", *scene(rng))
    (data_folder / "split.csv").unlink()
    monkeypatch.setattr("geohier.data.initialise.count_values", interrupted)
    with pytest.raises(KeyboardInterrupt):
        initialise(data_folder)
    assert sorted(path.name for path in data_folder.iterdir()) == ["images", "masks"]


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


def test_a_folder_without_pairs_says_how_to_name_them(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no image and mask pairs: put them into images/"):
        initialise(tmp_path)


def test_an_image_without_a_mask_is_named(tmp_path: Path) -> None:
    for name in ("a.png", "a_mask.png", "b.png"):
        Image.new("L", (4, 4)).save(tmp_path / name)
    with pytest.raises(InputError, match=r"1 of 2 images have no mask \(b.png\)"):
        initialise(tmp_path)


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


@pytest.mark.shared
def test_init_reads_the_real_buildings(shared_data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "roofs"
    folder.mkdir()
    for name in ("images", "masks", "split.csv"):
        (folder / name).symlink_to(shared_data / "hot_buildings" / name)
    config = initialise(folder).config
    assert [one.values for one in config.data.classes] == [(0,), (1,)]
    assert config.data.bands == ("red", "green", "blue")
    assert config.data.gsd_m is not None
    assert len(read_catalog(load_config(folder / "config.yaml").data).scenes) == 6
