import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from PIL import Image
from shapely import Point, Polygon
from shapely.geometry.base import BaseGeometry

from geohier.config.load import load_config
from geohier.data.catalog import read_catalog
from geohier.data.initialise import initialise
from geohier.data.labelled import Cut, LabelledPixels, inside
from geohier.data.prepare import prepare
from geohier.data.resplit import folder_config
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


def test_dates_of_one_place_are_on_one_side(
    add_scene: AddScene, rng: np.random.Generator, data_folder: Path
) -> None:
    """Seven places, each at three dates: none is learned and judged."""
    for at in range(7):
        add_scene(f"s{at}", *scene(rng))
        for kind, date in product(("images", "masks"), "bc"):
            file = data_folder / kind / f"s{at}.tif"
            shutil.copy(file, file.with_stem(f"s{at}{date}"))
    (data_folder / "split.csv").unlink()
    catalog = initialise(data_folder).catalog
    train, val = ({one.id[:2] for one in some} for some in (catalog.train, catalog.val))
    assert len(catalog.train) + len(catalog.val) == 21
    assert (len(train), len(val)) == (5, 2)
    assert not train & val


def test_two_dates_of_one_scene_are_cut_into_the_same_blocks(
    add_scene: AddScene, rng: np.random.Generator, data_folder: Path
) -> None:
    add_scene("a", *scene(rng, 1500))
    for kind in ("images", "masks"):
        shutil.copy(data_folder / kind / "a.tif", data_folder / kind / "b.tif")
    (data_folder / "split.csv").unlink()
    catalog = initialise(data_folder).catalog
    assert [one.id for one in catalog.val] == ["a", "b"]
    assert catalog.val[0].windows == catalog.val[1].windows


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
    monkeypatch.setattr("geohier.data.class_guess.count_values", interrupted)
    with pytest.raises(KeyboardInterrupt):
        initialise(data_folder)
    assert sorted(path.name for path in data_folder.iterdir()) == ["images", "masks"]


def test_a_folder_without_pairs_says_how_to_name_them(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no image and mask pairs: put them into images/"):
        initialise(tmp_path)


def square(x: int, y: int, side: int = 10) -> Polygon:
    """A box on the grid of a scene at 5 000 km north; its corner in pixels, column before row."""
    left, top = 500_000 + x, 5_000_000 - y
    return shapely.box(left, top - side, left + side, top)


def on_scene(frame: geopandas.GeoDataFrame, image: Path) -> geopandas.GeoDataFrame:
    """Return features moved from 5 000 km north to where an image lies."""
    with rasterio.open(image) as file:
        return frame.set_geometry(frame.translate(yoff=file.transform.f - 5_000_000))


@pytest.fixture
def label_with(
    add_scene: AddScene, rng: np.random.Generator, data_folder: Path
) -> Callable[..., None]:
    """Return a function that writes five scenes of 64 px with these features as labels."""

    def write(
        columns: dict[str, list[object]], shapes: list[BaseGeometry], suffix: str = ".gpkg"
    ) -> None:
        for at in range(5):
            add_scene(f"s{at}", *scene(rng))
            (data_folder / "masks" / f"s{at}.tif").unlink()
            frame = geopandas.GeoDataFrame(columns, geometry=shapes, crs="EPSG:32631")
            frame = on_scene(frame, data_folder / "images" / f"s{at}.tif")
            frame.to_crs("EPSG:4326").to_file(data_folder / "masks" / f"s{at}{suffix}")
        (data_folder / "split.csv").unlink()

    return write


@pytest.mark.parametrize("suffix", [".gpkg", ".geojson", ".fgb", ".shp"])
def test_features_of_one_kind_are_a_class_before_a_background(
    label_with: Callable[..., None], data_folder: Path, suffix: str
) -> None:
    label_with({"height": [2.5, 3.5]}, [square(4, 4), square(40, 40)], suffix)
    done = initialise(data_folder)
    config = load_config(done.config_file)
    assert [one.name for one in config.data.classes] == ["background", "object"]
    assert config.data.labels.outside == "background"
    assert prepare(config).label_counts == {0.0: 4 * (4096 - 200), 1.0: 4 * 200}
    without_config = folder_config(data_folder)
    assert (without_config.classes, without_config.labels) == (
        config.data.classes,
        config.data.labels,
    )


@pytest.mark.parametrize(
    ("columns", "name"),
    [
        ({"class": ["tree", "tree"]}, "tree"),
        ({"class": [3, 3]}, "object"),
        ({"class": ["background", "background"]}, "object"),
    ],
    ids=["a name", "a number", "the other one"],
)
def test_a_column_with_one_name_names_the_class(
    label_with: Callable[..., None], data_folder: Path, columns: dict[str, list[object]], name: str
) -> None:
    label_with(columns, [square(4, 4), square(40, 40)])
    classes = initialise(data_folder).config.data.classes
    assert [one.name for one in classes] == ["background", name]


@pytest.mark.parametrize(
    ("column", "names", "values"),
    [
        (["Roof", "road", "roof"], ["road", "roof"], [1, 2]),
        ([7, 3, 255], ["class_3", "class_7", "class_255"], [3, 7, 255]),
    ],
    ids=["names", "values"],
)
def test_a_column_of_classes_names_them_and_the_rest_is_unlabelled(
    label_with: Callable[..., None],
    data_folder: Path,
    column: list[object],
    names: list[str],
    values: list[int],
) -> None:
    shapes = [square(0, 0), square(20, 0), square(40, 0)]
    label_with({"no": [7, 8, 9], "class": column}, shapes)
    done = initialise(data_folder)
    config = load_config(done.config_file)
    assert [one.name for one in config.data.classes] == names
    assert [one.values for one in config.data.classes] == [(value,) for value in values]
    assert (config.data.labels.attribute, config.data.labels.outside) == ("class", None)
    assert sum(prepare(config).label_counts.values()) == 4 * 300
    text = " ".join(line.removeprefix("# ") for line in done.config_file.read_text().splitlines())
    assert "features with the columns no: 7 8 9; class:" in text


def test_names_of_single_features_are_no_classes(
    add_scene: AddScene, rng: np.random.Generator, data_folder: Path
) -> None:
    for at in range(5):
        add_scene(f"s{at}", *scene(rng))
        (data_folder / "masks" / f"s{at}.tif").unlink()
        columns = {"name": [f"house {at}", f"barn {at}"]}
        shapes = [square(4, 4), square(40, 40)]
        frame = geopandas.GeoDataFrame(columns, geometry=shapes, crs="EPSG:32631")
        frame = on_scene(frame, data_folder / "images" / f"s{at}.tif")
        frame.to_file(data_folder / "masks" / f"s{at}.gpkg")
    (data_folder / "split.csv").unlink()
    assert [one.name for one in initialise(data_folder).config.data.classes][1] == "object"


def test_points_get_a_radius_of_some_pixels(
    label_with: Callable[..., None], data_folder: Path
) -> None:
    label_with({"height": [1.5]}, [Point(500_032, 4_999_968)])
    data = load_config(initialise(data_folder).config_file).data
    assert data.labels.point_radius_m == pytest.approx(3, rel=0.05)


def test_masks_and_features_are_not_mixed(
    label_with: Callable[..., None],
    add_scene: AddScene,
    rng: np.random.Generator,
    data_folder: Path,
) -> None:
    label_with({"height": [1.5]}, [square(4, 4)])
    add_scene("mask", *scene(rng))
    (data_folder / "split.csv").unlink()
    with pytest.raises(LabelError, match=r"s0.gpkg holds features, .*mask.tif is a raster: keep"):
        initialise(data_folder)


def test_files_without_features_are_refused(
    label_with: Callable[..., None], data_folder: Path
) -> None:
    label_with({"height": []}, [])
    with pytest.raises(LabelError, match="the labels hold no features: two classes or more"):
        initialise(data_folder)


def test_scenes_in_other_units_stop_init(
    add_scene: AddScene, rng: np.random.Generator, data_folder: Path
) -> None:
    for name in "ab":
        add_scene(name, *scene(rng))
    with rasterio.open(data_folder / "images" / "b.tif", "r+") as file:
        file.offsets = (0, -0.1, 0)
    with pytest.raises(InputError, match=r"images/b.tif: band .* has scale 1 and offset -0.1, in"):
        initialise(data_folder)


def test_a_val_without_labels_is_told(
    add_scene: AddScene, rng: np.random.Generator, data_folder: Path
) -> None:
    image, mask = scene(rng)
    add_scene("a", image, mask)
    add_scene("b", image, np.full_like(mask, 255), split="val")
    assert "no scene of val has labelled pixels" in initialise(data_folder).notes[0]


def test_a_class_that_is_only_in_val_is_told(
    add_scene: AddScene, rng: np.random.Generator, data_folder: Path
) -> None:
    image, mask = scene(rng, 96)
    corner = mask.copy()
    corner[:4, :4] = 7
    add_scene("a", image, mask)
    add_scene("b", image, corner, windows="8 0 88 96")
    add_scene("c", image, corner, split="val", windows="0 0 32 32")
    notes = initialise(data_folder).notes
    assert notes == (
        "class class_7 has 16 px in val and none in train: it can never be found; move a scene "
        "that holds it to train (geohier data split), or drop the class",
    )


def test_a_scene_is_looked_through_in_strips_that_fit_into_memory(
    add_scene: AddScene,
    rng: np.random.Generator,
    data_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    add_scene("a", *scene(rng))
    heights = []
    read = LabelledPixels.read

    def noted(one: LabelledPixels, window: Window) -> Cut:
        heights.append(window.height)
        return read(one, window)

    monkeypatch.setattr(LabelledPixels, "read", noted)
    monkeypatch.setattr("geohier.data.strips.STRIP_BYTES", 3 * 64 * 8)
    initialise(data_folder)
    assert heights == [8] * 8


@pytest.mark.parametrize(
    ("image_bands", "mask_side", "error", "says"),
    [
        (2, 64, InputError, r"images/b.tif: has the bands .*, but the first train scene has"),
        (3, 32, LabelError, r"masks/b.tif is 32 x 32 px, what it labels 64 x 64 px"),
    ],
    ids=["bands", "mask size"],
)
def test_what_would_stop_a_training_stops_init(
    add_scene: AddScene,
    rng: np.random.Generator,
    data_folder: Path,
    image_bands: int,
    mask_side: int,
    error: type[Exception],
    says: str,
) -> None:
    add_scene("a", *scene(rng))
    image, mask = scene(rng)
    add_scene("b", image[:image_bands], mask)
    Image.fromarray(mask[:mask_side, :mask_side]).save(data_folder / "masks" / "b.tif")
    with pytest.raises(error, match=says):
        initialise(data_folder)
    assert not (data_folder / "config.yaml").exists()


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
