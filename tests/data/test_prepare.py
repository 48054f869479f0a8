import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image

from geohier.config.schema import TrainConfig
from geohier.data.catalog import read_catalog
from geohier.data.labelled import MOST_OPEN
from geohier.data.labels import IGNORE_INDEX
from geohier.data.normalise import file_hash
from geohier.data.prepare import prepare
from geohier.errors import ConfigError, InputError, LabelError
from geohier.geo.window import Window

AddScene = Callable[..., None]
MakeConfig = Callable[..., TrainConfig]


def scene(rng: np.random.Generator, side: int = 64, bands: int = 3) -> tuple[np.ndarray, ...]:
    image = rng.integers(1, 255, (bands, side, side), dtype="uint8")
    return image, rng.integers(0, 2, (side, side), dtype="uint8")


def test_statistics_are_those_of_the_valid_train_pixels(
    add_scene: AddScene, make_config: MakeConfig, rng: np.random.Generator
) -> None:
    image = rng.normal([[[100]], [[20]]], [[[10]], [[3]]], (2, 256, 256)).astype("float32")
    image[:, :100, :50] = -9999
    mask = rng.integers(0, 2, (256, 256), dtype="uint8")
    add_scene("a", image, mask, nodata=-9999, descriptions=("red", "nir"))
    add_scene("judge", image * 50, mask, split="val", descriptions=("red", "nir"))
    bands = prepare(make_config()).bands
    assert bands.names == ("red", "nir")
    for band, mean, std in zip(bands, (100, 20), (10, 3), strict=True):
        assert band.mean == pytest.approx(mean, abs=0.05 * std)
        assert band.std == pytest.approx(std, rel=0.03)
        assert band.low == pytest.approx(mean - 2.054 * std, abs=0.1 * std)
        assert band.high == pytest.approx(mean + 2.054 * std, abs=0.1 * std)
        assert (band.dtype, band.nodata) == ("float32", -9999)


@pytest.mark.parametrize("split", ["train", "val"])
def test_16_bit_values_among_8_bit_scenes_are_refused(
    add_scene: AddScene, make_config: MakeConfig, rng: np.random.Generator, split: str
) -> None:
    image, mask = scene(rng)
    colours = ("red", "green", "blue")
    wide = image.astype("uint16")
    add_scene("a", image, mask, descriptions=colours)
    add_scene("same", wide, mask, descriptions=colours)  # another type, yet the same units
    add_scene("wide", wide * 40, mask, descriptions=colours, split=split)
    with pytest.raises(InputError, match=r"wide\.tif: band \S+ is uint16 with values from 40 to"):
        prepare(make_config())


def test_hashes_are_those_of_the_files(
    add_scene: AddScene, make_config: MakeConfig, rng: np.random.Generator, data_folder: Path
) -> None:
    add_scene("a", *scene(rng, 96))
    hashes = prepare(make_config()).hashes
    assert hashes["train/a"]["image"] == file_hash(data_folder / "images/a.tif")
    assert hashes["train/a"]["mask"] == file_hash(data_folder / "masks/a.tif")


def test_bands_are_found_by_name_in_every_scene(
    add_scene: AddScene, make_config: MakeConfig, rng: np.random.Generator
) -> None:
    image, mask = scene(rng, 96, bands=2)
    add_scene("a", image, mask, descriptions=("red", "nir"))
    add_scene("b", image[::-1], mask, descriptions=("NIR", "B4"))
    data = prepare(make_config({"bands": ["nir"]}))
    window = Window(row_off=0, col_off=0, height=96, width=96)
    for pixels in data.train:
        np.testing.assert_array_equal(pixels.read(window).values, image[1:])


@pytest.mark.parametrize("infrared", [True, False])
def test_a_band_tagged_alpha_is_left_out_only_if_it_is_alpha(
    add_scene: AddScene, make_config: MakeConfig, rng: np.random.Generator, infrared: bool
) -> None:
    image, mask = scene(rng, 96, bands=4)
    if not infrared:
        image[3] = np.where(image[3] > 60, 255, 0)
    add_scene("a", image, mask, photometric="RGB", alpha="YES")
    data = prepare(make_config())
    assert len(data.bands) == (4 if infrared else 3)
    cut = data.train[0].read(Window(row_off=0, col_off=0, height=96, width=96))
    np.testing.assert_array_equal(cut.valid, np.ones_like(mask, bool) if infrared else image[3] > 0)
    assert (cut.labels[~cut.valid] == IGNORE_INDEX).all()


def test_label_values_become_class_indexes(
    add_scene: AddScene, make_config: MakeConfig, rng: np.random.Generator
) -> None:
    image, _ = scene(rng, 96)
    mask = rng.choice(np.array([-5, 7, 300, 1000], "int16"), (96, 96))
    add_scene("a", image, mask)
    data = prepare(make_config({"classes": {"sea": 300, "land": [7, -5]}, "ignore": 1000}))
    labels = data.train[0].read(Window(row_off=0, col_off=0, height=96, width=96)).labels
    expected = np.select([mask == 300, mask == 1000], [0, IGNORE_INDEX], 1)
    np.testing.assert_array_equal(labels, expected)
    assert data.label_counts[300.0] == int((mask == 300).sum())


def test_several_label_values_may_mean_unlabelled(
    add_scene: AddScene, make_config: MakeConfig, rng: np.random.Generator
) -> None:
    image, _ = scene(rng, 96)
    mask = rng.choice(np.array([0, 1, 2, 255], "uint8"), (96, 96))
    add_scene("a", image, mask)
    data = prepare(make_config({"classes": {"sea": 1, "land": 2}, "ignore": [0, 255]}))
    labels = data.train[0].read(Window(row_off=0, col_off=0, height=96, width=96)).labels
    np.testing.assert_array_equal(labels, np.select([mask == 1, mask == 2], [0, 1], IGNORE_INDEX))
    with pytest.raises(LabelError, match=r"label values 0 .* \(classes .* 2, ignore 255 7\)"):
        prepare(make_config({"classes": {"sea": 1, "land": 2}, "ignore": [255, 7]}))
    with pytest.raises(
        LabelError, match=r"state it as `classes: .0: name.` with `ignore: .2, 255."
    ):
        prepare(make_config({"classes": {"sea": 1, "land": 7}, "ignore": [0, 2, 255]}))


def test_windows_of_a_split_leave_the_rest_unlabelled(
    add_scene: AddScene, make_config: MakeConfig, rng: np.random.Generator
) -> None:
    add_scene("a", *scene(rng, 128), windows="0 0 128 64")
    add_scene("a", *scene(rng, 128), split="val", windows="0 80 60 40; 100 80 20 48")
    data = prepare(make_config())
    window = Window(row_off=0, col_off=0, height=128, width=128)
    known = data.val[0].read(window).labels != IGNORE_INDEX
    assert known.sum() == 60 * 40 + 20 * 48
    assert known[:60, 80:120].all()
    assert all(part.col_stop <= 64 for part in data.fit[0].parts + data.choose[0].parts)


def test_blocks_without_labels_are_in_neither_part(
    add_scene: AddScene, make_config: MakeConfig, rng: np.random.Generator
) -> None:
    image, mask = scene(rng, 192)
    mask[64:] = 255
    add_scene("sparse", image, mask)
    data = prepare(make_config())
    assert all(part.row_stop <= 64 for part in data.fit[0].parts + data.choose[0].parts)


def test_plain_chips_without_georeference_are_scenes(
    tmp_path: Path, make_config: MakeConfig, rng: np.random.Generator
) -> None:
    for split, count in (("train", 3), ("val", 1)):
        for kind in ("images", "masks"):
            (tmp_path / split / kind).mkdir(parents=True)
        for at in range(count):
            image, mask = scene(rng)
            Image.fromarray(image.transpose(1, 2, 0)).save(tmp_path / split / f"images/{at}.png")
            Image.fromarray(mask).save(tmp_path / split / f"masks/{at}.png")
    data = prepare(make_config({"root": tmp_path}))
    assert (len(data.train), len(data.val), data.gsd_m) == (3, 1, None)
    with pytest.raises(InputError, match=r"has no CRS, so its GSD is unknown"):
        prepare(make_config({"root": tmp_path, "gsd_m": 0.5}))


def test_scenes_can_be_listed_and_excluded(
    add_scene: AddScene, make_config: MakeConfig, rng: np.random.Generator
) -> None:
    for name in "abc":
        add_scene(name, *scene(rng))
    pairs = [{"image": f"images/{n}.tif", "mask": f"masks/{n}.tif"} for n in "abc"]
    catalog = read_catalog(make_config({"train": pairs[:2], "val": pairs[2:]}).data)
    assert [one.id for one in catalog.train] == ["a", "b"]
    assert [one.id for one in catalog.val] == ["c"]
    kept = read_catalog(make_config({"exclude": ["b"]}).data)
    assert [one.id for one in kept.scenes] == ["a", "c"]
    with pytest.raises(InputError, match=r"data.exclude names d, but the scenes are a b c"):
        read_catalog(make_config({"exclude": ["d"]}).data)
    with pytest.raises(InputError, match=r"no scene is left to train on \(3 found, 3 excluded\)"):
        read_catalog(make_config({"exclude": ["a", "b", "c"]}).data)


@pytest.mark.parametrize("value", [255, 1])
def test_one_class_left_after_ignore_is_refused_with_the_way_out(
    add_scene: AddScene, make_config: MakeConfig, rng: np.random.Generator, value: int
) -> None:
    image, mask = scene(rng)
    add_scene("a", image, mask * value)
    classes = {0: "ground", 7: "roof"}
    with pytest.raises(LabelError) as found:
        prepare(make_config({"classes": classes, "ignore": value}))
    assert f"hold the values 0 {value}, which leaves only the class ground" in str(found.value)
    assert f"`classes: {{{value}: name}}` with `ignore: null`" in str(found.value)


def test_an_unknown_label_value_is_refused_with_file_and_count(
    add_scene: AddScene, make_config: MakeConfig, rng: np.random.Generator
) -> None:
    image, mask = scene(rng)
    mask[3, 4:9] = 9
    add_scene("a", image, mask)
    with pytest.raises(LabelError, match=r"masks/a.tif: label values 9 \(5 px\) are neither"):
        prepare(make_config())


def test_a_mask_off_the_grid_gives_each_pixel_the_nearest_label(
    add_scene: AddScene, make_config: MakeConfig, rng: np.random.Generator
) -> None:
    image, mask = scene(rng)
    add_scene("a", image, mask, mask_shift_px=0.25)
    (pixels,) = prepare(make_config()).train
    whole = Window(row_off=0, col_off=0, height=64, width=64)
    np.testing.assert_array_equal(pixels.read(whole).labels, mask)
    assert any("each pixel takes the nearest label" in note for note in pixels.notes)


def test_a_mask_of_another_size_needs_a_place(
    add_scene: AddScene, make_config: MakeConfig, data_folder: Path, rng: np.random.Generator
) -> None:
    image, mask = scene(rng)
    add_scene("a", image, mask[:-1])
    Image.fromarray(mask[:-1]).save(data_folder / "masks" / "a.tif")
    with pytest.raises(LabelError, match=r"is 63 x 64 px, what it labels 64 x 64 px"):
        prepare(make_config())


def test_few_files_are_open_however_many_scenes_there_are(
    add_scene: AddScene, make_config: MakeConfig, rng: np.random.Generator
) -> None:
    for at in range(MOST_OPEN + 4):
        add_scene(f"s{at}", *scene(rng), split="train" if at < 2 else "val")
    before = set(Path("/proc/self/fd").iterdir())
    data = prepare(make_config())
    assert len(set(Path("/proc/self/fd").iterdir()) - before) <= 2 * MOST_OPEN
    whole = Window(row_off=0, col_off=0, height=64, width=64)
    assert all(one.read(whole).valid.all() for one in data.val)


def test_scenes_in_other_units_are_not_mixed(
    add_scene: AddScene, make_config: MakeConfig, data_folder: Path, rng: np.random.Generator
) -> None:
    for name in ("a", "b"):
        add_scene(name, *scene(rng))
    with rasterio.open(data_folder / "images" / "b.tif", "r+") as file:
        file.offsets = (0, -0.1, 0)
    with pytest.raises(InputError, match=r"images/b.tif: band .* has scale 1 and offset -0.1, in"):
        prepare(make_config())


def test_a_mask_of_three_bands_is_refused(
    add_scene: AddScene, make_config: MakeConfig, rng: np.random.Generator
) -> None:
    image, mask = scene(rng)
    add_scene("a", image, np.stack([mask] * 3))
    with pytest.raises(LabelError, match="has 3 bands: labels are one band"):
        prepare(make_config())


def test_a_constant_band_is_refused(
    add_scene: AddScene, make_config: MakeConfig, rng: np.random.Generator
) -> None:
    image, mask = scene(rng, 96)
    image[1] = 7
    add_scene("a", image, mask, descriptions=("red", "green", "blue"))
    with pytest.raises(InputError, match="band green is 7 in all train pixels"):
        prepare(make_config())


def test_a_missing_band_is_refused(
    add_scene: AddScene, make_config: MakeConfig, rng: np.random.Generator
) -> None:
    add_scene("a", *scene(rng), descriptions=("red", "green", "blue"))
    with pytest.raises(InputError, match=r"data.bands asks for nir, the bands are red green blue"):
        prepare(make_config({"bands": ["nir"]}))
    add_scene("b", *scene(rng, bands=2), descriptions=("red", "green"))
    with pytest.raises(InputError, match=r"b.tif: has the bands red green, but the first train"):
        prepare(make_config())


def test_a_far_gsd_is_refused(
    add_scene: AddScene, make_config: MakeConfig, rng: np.random.Generator
) -> None:
    add_scene("a", *scene(rng), gsd_m=0.1)
    with pytest.raises(InputError, match="differ more than 16 times"):
        prepare(make_config({"gsd_m": 10}))


def edit_split(folder: Path, **changes: str) -> None:
    path = folder / "split.csv"
    rows = list(csv.DictReader(path.read_text().splitlines()))
    for column, value in changes.items():
        rows[0][column] = value
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image": "images/gone.tif"}, "images/gone.tif: there is no such file: it is the image"),
        ({"mask": ""}, "line 2: mask is empty"),
        ({"scene": "b"}, "scene b stands 2 times in train"),
        ({"windows": "1 2 3"}, "line 2: windows '1 2 3': give 'row col height width"),
        ({"windows": "1 2 0 4"}, "line 2: windows '1 2 0 4': give"),
    ],
)
def test_a_split_file_with_mistakes_is_refused(
    add_scene: AddScene,
    make_config: MakeConfig,
    rng: np.random.Generator,
    data_folder: Path,
    changes: dict[str, str],
    message: str,
) -> None:
    for name in "ab":
        add_scene(name, *scene(rng))
    edit_split(data_folder, **changes)
    with pytest.raises(InputError) as found:
        read_catalog(make_config().data)
    assert message in str(found.value)
    assert found.value.exit_code == 3


def test_a_split_file_without_a_column_is_refused(
    data_folder: Path, make_config: MakeConfig
) -> None:
    (data_folder / "split.csv").write_text("scene,split,image\n")
    with pytest.raises(InputError, match="no column mask among scene split image"):
        read_catalog(make_config().data)


def test_a_folder_without_a_split_says_what_to_do(
    data_folder: Path, make_config: MakeConfig
) -> None:
    with pytest.raises(InputError, match="run `geohier init"):
        read_catalog(make_config().data)
    with pytest.raises(InputError, match="there is no such folder"):
        read_catalog(make_config({"root": data_folder / "gone"}).data)


def test_a_single_small_scene_cannot_be_shared_out(
    add_scene: AddScene, make_config: MakeConfig, rng: np.random.Generator
) -> None:
    add_scene("a", *scene(rng, 40))
    with pytest.raises(ConfigError, match="1 block cannot be shared out"):
        prepare(make_config())


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "train", "val"), [("hot_buildings", 5, 1), ("amazon_forest_s2", 23, 5)]
)
def test_the_real_data_sets_are_prepared(
    shared_data: Path, name: str, train: int, val: int
) -> None:
    classes = {"data": {"root": shared_data / name, "classes": {"no": 0, "yes": 1}}}
    data = prepare(TrainConfig.model_validate(classes))
    assert (len(data.train), len(data.val)) == (train, val)
    assert data.bands.names == ("red", "green", "blue")
    blocks = sum(round(one.shape[0] / 512) * round(one.shape[1] / 512) for one in data.train)
    assert sum(len(field.parts) for field in data.choose) == round(0.15 * blocks)
    low, high = (0.06, 0.14) if name == "hot_buildings" else (9.5, 10.5)
    assert data.gsd_m is not None
    assert low < data.gsd_m[0] <= data.gsd_m[1] < high


def test_a_damaged_image_is_refused(
    add_scene: AddScene, make_config: MakeConfig, rng: np.random.Generator, data_folder: Path
) -> None:
    add_scene("a", *scene(rng, 256), compress="deflate", tiled=True, blockxsize=64, blockysize=64)
    path = data_folder / "images/a.tif"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match=r"a.tif"):
        prepare(make_config())
    with pytest.raises(rasterio.RasterioIOError), rasterio.open(path) as source:
        source.read()


def test_what_is_odd_about_labels_is_noted_once(
    add_scene: AddScene, make_config: MakeConfig, rng: np.random.Generator
) -> None:
    add_scene("a", *scene(rng), mask_shift_px=0.25)
    add_scene("b", *scene(rng))
    (note,) = prepare(make_config()).notes
    assert "masks/a.tif is on another grid" in note


def test_classes_are_counted_where_they_are_fitted_on_alone(
    add_scene: AddScene, make_config: MakeConfig, rng: np.random.Generator
) -> None:
    """Neither what judges nor what chooses, nor a window of another split, has a say."""
    image, mask = scene(rng, 256)
    mask[:, 128:] = 1
    mask[:, :128] = rng.integers(0, 2, (256, 128))
    add_scene("halves", image, mask, windows="0 0 256 128")
    data = prepare(make_config(training={"block_px": 32, "buffer_px": 0}))
    area = sum(part.height * part.width for part in data.fit[0].parts)
    counts = np.bincount(
        np.concatenate([mask[part.slices].ravel() for part in data.fit[0].parts]), minlength=2
    )
    assert 0 < area < 256 * 128
    assert data.class_counts == tuple(counts.tolist())


def test_a_class_that_only_judges_is_told_first(
    add_scene: AddScene, make_config: MakeConfig, rng: np.random.Generator
) -> None:
    classes = {0: "ground", 1: "roof", 2: "pool"}
    image, mask = scene(rng, 128)
    add_scene("a", image, mask)
    add_scene("b", image[::-1], np.full_like(mask, 2), split="val")
    note = prepare(make_config(data={"classes": classes})).notes[0]
    assert note.startswith("class pool has 16384 px in val and none in train")
