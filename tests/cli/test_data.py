"""`geohier data`: what it says of labelled scenes, good and bad, and how it splits them."""

import csv
import shlex
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from affine import Affine
from matplotlib.image import imread

from geohier.config.load import load_config
from geohier.data.catalog import read_catalog
from geohier.data.labelled_scene import windows_text

Run = Callable[..., object]
Write = Callable[..., Path]
RGB = ("red", "green", "blue")
KM = 1000.0


class Folder:
    """Labelled scenes of 64 x 64 px of 10 m, with a config."""

    def __init__(self, path: Path, write: Write) -> None:
        self.path = path
        self.write = write
        self.rng = np.random.default_rng(0)
        self.rows: list[dict[str, str]] = []
        (path / "data").mkdir()

    def add(
        self,
        name: str,
        mask: np.ndarray | Path,
        split: str = "train",
        *,
        east_km: float = 0.0,
        windows: str = "",
        image: np.ndarray | None = None,
        **profile: object,
    ) -> None:
        place: dict[str, object] = {
            "transform": Affine(10, 0, 500_000 + east_km * KM, 0, -10, 5_000_000),
            **profile,
        }
        if image is None:
            image = self.rng.integers(0, 200, (3, 64, 64), dtype="uint8")
        self.write(image, f"data/{name}.tif", descriptions=RGB[: len(image)], **place)
        if isinstance(mask, np.ndarray):
            self.write(mask[None], f"data/{name}_mask.tif", **place)
            mask = Path(f"{name}_mask.tif")
        row = {"image": f"{name}.tif", "mask": str(mask), "windows": windows}
        self.rows.append({"scene": name, "split": split, **row})

    def config(self, **data: object) -> Path:
        with (self.path / "data" / "split.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(self.rows[0]))
            writer.writeheader()
            writer.writerows(self.rows)
        classes = {"ground": 0, "roof": 1}
        values = {"root": "data", "classes": classes, **data}
        path = self.path / "roofs.yaml"
        path.write_text(yaml.safe_dump({"data": values, "chips": {"size_px": 32}}))
        return path


def roofs(side: int = 8) -> np.ndarray:
    """Nine square roofs of 8 px."""
    mask = np.zeros((64, 64), "uint8")
    for row in (4, 24, 44):
        for column in (4, 24, 44):
            mask[row : row + side, column : column + side] = 1
    return mask


@pytest.fixture
def folder(tmp_path: Path, write_scene: Write) -> Folder:
    return Folder(tmp_path, write_scene)


@pytest.fixture
def good(folder: Folder) -> Folder:
    folder.add("a", roofs())
    folder.add("b", roofs(), "val", east_km=20)
    return folder


def test_a_check_counts_pixels_objects_and_values_and_draws_them(
    good: Folder, run: Run, tmp_path: Path
) -> None:
    config = good.config()
    done = run("data", "check", config, "--json", "--picture", tmp_path / "new" / "check.png")
    assert done.code == 0, done.err
    found = done.json
    assert found["splits"]["train"]["class_px"] == {"ground": 4096 - 576, "roof": 576}
    assert found["splits"]["val"]["labelled_scenes"] == 1
    assert found["objects"]["roof"]["count"] == 18
    diameter = (4 / np.pi * 64) ** 0.5
    assert found["objects"]["roof"]["diameters_px"] == pytest.approx([diameter] * 3)
    # the scenes lie on UTM's central meridian, where a metre on the map is 1.0004 on the ground
    assert found["objects"]["roof"]["diameters_m"] == pytest.approx([10 * diameter] * 3, rel=1e-3)
    assert found["objects"]["roof"]["width_px"] == pytest.approx(8)
    red = found["splits"]["train"]["bands"][0]
    assert (red["name"], red["dtype"]) == ("red", "uint8")
    assert red["mean"] == pytest.approx(99.5, abs=3)
    assert 0 <= red["low"] < 5
    assert found["errors"] == found["nearnesses"] == []
    assert found["advice"]["chip_px"] == 64
    pixels = imread(tmp_path / "new" / "check.png")[..., :3]
    assert np.isclose(pixels, [0xD7 / 255, 0x30 / 255, 0x27 / 255], atol=0.01).all(-1).any()

    tables = run("data", "check", config)
    assert "roof" in tables.out
    assert "model.downsample: 1" in tables.out


def test_the_same_ground_at_another_date_is_a_leak_in_any_crs(good: Folder, run: Run) -> None:
    """Here the other date is in degrees, and overlaps by its corner."""
    degrees = Affine(1.27e-4, 0, 3.004, 0, -9e-5, 45.155)
    good.add("later", roofs(), "val", crs="EPSG:4326", transform=degrees)
    config = good.config()
    done = run("data", "check", config, "--json")
    assert done.code == 3
    assert done.json["nearnesses"][0]["overlap"] is True
    assert "geohier: a (train) and later (val) label the same ground: " in done.err
    allowed = run("data", "check", config, "--allow-overlap")
    assert allowed.code == 0
    assert "note: a (train) and later (val) label the same ground" in allowed.err
    assert run("data", "check", config, "--set", "data.allow_overlap=true").code == 0


def test_one_image_in_both_splits_is_told_with_the_smallest_distance(
    folder: Folder, run: Run
) -> None:
    folder.add("a", roofs(), windows="0 0 64 20")
    folder.rows.append({**folder.rows[0], "split": "val", "windows": "0 32 64 32"})
    done = run("data", "check", folder.config())
    assert done.code == 0, done.err
    assert (
        "1 pair of train and val scenes share one image; the closest labels are 120 m" in done.err
    )
    near = run("data", "check", folder.config(), "--buffer-m", "121")
    assert near.code == 3
    folder.rows[1]["windows"] = "0 19 64 32"
    overlapping = run("data", "check", folder.config())
    assert overlapping.code == 3
    assert "a (train) and a (val) label the same ground" in overlapping.err


def test_labels_decide_and_not_how_far_images_reach(folder: Folder, run: Run) -> None:
    """Two sheets that overlap by half, each labelled on a part that the other lacks."""
    left, right = roofs(), roofs()
    left[:, 32:] = right[:, :24] = 255
    folder.add("west", left)
    folder.add("east", right, "val", east_km=0.32)
    done = run("data", "check", folder.config(), "--json")
    assert done.code == 0, done.err
    assert done.json["nearnesses"][0]["distance"] == pytest.approx(240, abs=1)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_without_a_crs_equal_images_are_found_by_their_bytes(folder: Folder, run: Run) -> None:
    image = np.random.default_rng(0).integers(0, 255, (3, 64, 64), dtype="uint8")
    nowhere = {"crs": None, "transform": Affine.identity()}
    for name, split in (("a", "train"), ("copy", "val")):
        folder.add(name, roofs(), split, image=image, **nowhere)
    done = run("data", "check", folder.config())
    assert done.code == 3
    assert "a (train) and copy (val) label the same ground" in done.err
    assert "2 of 2 scenes do not say where they lie" in done.err


def test_a_class_that_only_val_has_and_an_empty_split_are_errors(folder: Folder, run: Run) -> None:
    folder.add("a", np.zeros((64, 64), "uint8"))
    folder.add("c", np.full((64, 64), 2, "uint8"), east_km=10)
    folder.add("b", roofs(), "val", east_km=20)
    classes = {"ground": 0, "roof": 1, "water": 2}
    done = run("data", "check", folder.config(classes=classes))
    assert done.code == 3
    assert "geohier: class roof has 576 px in val and none in train" in done.err
    assert "note: class water is in train but not in val" in done.err
    folder.rows[2]["windows"] = "0 0 1 1"
    folder.add("b2", np.full((64, 64), 255, "uint8"), "val", east_km=30)
    folder.rows.pop(2)
    done = run("data", "check", folder.config(classes=classes))
    assert done.code == 3
    assert "geohier: val is empty: none of its 1 scenes has a labelled pixel" in done.err


def test_all_that_is_wrong_is_told_at_once(good: Folder, run: Run) -> None:
    """A mask that lies elsewhere, label values that no class has, and values of another unit."""
    strange = roofs()
    strange[:2] = 7
    good.add("strange", strange, east_km=40)
    elsewhere = Affine(10, 0, 900_000, 0, -10, 5_000_000)
    good.write(roofs()[None], "data/far_mask.tif", transform=elsewhere)
    good.add("far", Path("far_mask.tif"), east_km=60)
    raw = np.full((3, 64, 64), 9000, "uint16")
    good.add("raw", roofs(), east_km=80, image=raw)
    done = run("data", "check", good.config())
    assert done.code == 3
    errors = [line for line in done.err.splitlines() if line.startswith("geohier: ")]
    assert len(errors) == 3
    told = "\n".join(errors)
    assert "far_mask.tif lies outside the image" in told
    assert "label values 7 (128 px) are neither a class nor ignored" in told
    assert "red is uint16 with values from 9000 to 9000, in the first train scene it is" in told
    assert "uint8: convert it" in told


def test_values_of_another_order_and_classes_without_labels_are_told(
    folder: Folder, run: Run
) -> None:
    for at, name in enumerate("abc"):
        image = np.full((3, 64, 64), 4000, "uint16") + np.arange(64, dtype="uint16")
        folder.add(name, roofs(), east_km=20 * at, image=image)
    folder.add("dark", roofs(), east_km=80, image=np.full((3, 64, 64), 40, "uint16"))
    done = run("data", "check", folder.config(classes={"ground": 0, "roof": 1, "road": 2}))
    assert done.code == 0, done.err
    assert "dark.tif: all bands are 10 times as bright, or as dark, as those of most" in done.err
    assert "a.tif: all bands" not in done.err
    assert "note: class road has no labelled pixel" in done.err


def test_a_mask_of_0_and_255_is_told_how_to_state_its_class(folder: Folder, run: Run) -> None:
    folder.add("a", roofs() * 255)
    done = run("data", "check", folder.config())
    assert done.code == 3
    assert "state it as `classes: {255: name}` with `ignore: null`" in done.err


def test_polygons_that_had_to_be_mended_and_specks_are_counted(folder: Folder, run: Run) -> None:
    import geopandas
    import shapely

    def at(column: float, row: float) -> tuple[float, float]:
        return 500_000 + 10 * column, 5_000_000 - 10 * row

    crossed = shapely.Polygon([at(2, 2), at(20, 20), at(20, 2), at(2, 20)])
    corners = [(at(c, 40.2), at(c + 0.5, 40.7)) for c in range(2, 62, 4)]
    specks = [shapely.box(*one, *other) for one, other in corners]
    frame = geopandas.GeoDataFrame(geometry=[crossed, *specks], crs="EPSG:32631")
    frame.to_file(folder.path / "data" / "a.gpkg")
    folder.add("a", Path("a.gpkg"))
    done = run("data", "check", folder.config(labels={"outside": "ground"}))
    assert done.code == 0, done.err
    assert "a.gpkg: 1 polygons cross themselves: mended" in done.err
    assert "a.gpkg: 15 polygons are smaller than a pixel" in done.err
    assert "15 of 17 objects of roof are a single pixel" in done.err


def test_a_picture_must_be_a_png_and_notes_name_what_is_missing(good: Folder, run: Run) -> None:
    refused = run("data", "check", good.config(), "--picture", "check.jpg")
    assert refused.code == 2
    good.rows.pop()
    done = run("data", "check", good.config())
    assert done.code == 0
    assert "note: there is no val scene" in done.err


def test_folds_are_written_to_folders_that_train_and_check_take(folder: Folder, run: Run) -> None:
    for at, name in enumerate("abc"):
        folder.add(name, roofs(), east_km=20 * at)
    config = folder.config()
    words = ("data", "split", config, "--folds", 3, "--block-px", 16, "--buffer-px", 2)
    out = folder.path / "folds"
    done = run(*words, "--out", out, "--json")
    assert done.code == 0, done.err
    assert done.json["blocks"] == 48
    assert done.json["class_px"] == {"ground": 3 * (4096 - 576), "roof": 3 * 576}
    assert sum(fold["val_px"]["roof"] for fold in done.json["folds"]) == 3 * 576
    used = f"--set data.catalog={out}/fold_1/split.csv"
    assert f"to use it: geohier train {config} {used}" in done.err
    for number in (1, 2, 3):
        root = f"data.root={out}/fold_{number}"
        checked = run("data", "check", config, "--set", root, "--json", "--buffer-m", 19)
        assert checked.code == 0, checked.err
        judged = checked.json["splits"]["val"]["class_px"]
        assert judged == done.json["folds"][number - 1]["val_px"]
        assert all(near["distance"] > 19.9 for near in checked.json["nearnesses"])

    again = run(*words, "--out", out)
    assert again.code == 2
    assert "is there already: give another --out, or --overwrite" in again.err
    replaced = run(*words, "--out", out, "--overwrite", "--seed", 3)
    assert replaced.code == 0
    assert "fold 3" in replaced.out


def test_a_picture_of_scenes_without_labels_is_told_to_be_missing(
    folder: Folder, run: Run, tmp_path: Path
) -> None:
    folder.add("a", np.full((64, 64), 255, "uint8"))
    done = run("data", "check", folder.config(), "--picture", tmp_path / "check.png")
    assert f"note: {tmp_path / 'check.png'}: not written: no scene has a labelled" in done.err
    assert not (tmp_path / "check.png").exists()


def test_a_picture_never_takes_the_place_of_a_scene(folder: Folder, run: Run) -> None:
    folder.add("a", roofs())
    mask = (folder.path / "data" / "a_mask.tif").rename(folder.path / "data" / "a_mask.png")
    folder.rows[0]["mask"] = mask.name
    before = mask.read_bytes()
    done = run("data", "check", folder.config(), "--picture", mask)
    assert (done.code, mask.read_bytes()) == (2, before)
    assert "a_mask.png is read for this result: choose another path for it" in done.err


def test_images_are_looked_at_without_labels(folder: Folder, run: Run, tmp_path: Path) -> None:
    bad = np.full((64, 64), 7, "uint8")  # of no class: nobody reads it
    image = np.full((3, 64, 64), 50, "uint8")
    image[:, :16] = 0
    folder.add("a", bad, image=image, nodata=0)
    folder.add("b", bad, "val", east_km=0.3)
    folder.add("c", bad, "val", east_km=20)
    only = run("data", "check", folder.config(), "--unlabelled")
    assert only.code == 3
    assert "no imagery is left to pretrain on: all 1 train scenes" in only.err
    folder.add("d", bad, east_km=40, image=image, nodata=0)
    target = tmp_path / "check.png"
    done = run("data", "check", folder.config(), "--unlabelled", "--json", "--picture", target)
    assert done.code == 0, done.err
    found = done.json
    assert found["splits"]["train"]["class_px"] == {"image": 2 * 48 * 64}
    assert found["splits"]["train"]["bands"][0]["mean"] == 50
    assert found["objects"] == {}
    assert found["advice"] is None
    left_out = "1 of 2 train scenes are left out, since they lie on the ground of val scenes: a"
    assert left_out in found["notes"]
    assert found["nearnesses"] == []
    assert target.is_file()

    path = folder.path / "data" / "split.csv"
    lines = [line.split(",") for line in path.read_text().splitlines()]
    at = lines[0].index("mask")
    path.write_text("\n".join(",".join((*row[:at], *row[at + 1 :])) for row in lines))
    labelled = run("data", "check", folder.path / "roofs.yaml")
    assert labelled.code == 3
    assert "no column mask" in labelled.err
    assert "`geohier data check --unlabelled`" in labelled.err
    assert run("data", "check", folder.path / "roofs.yaml", "--unlabelled").code == 0


@pytest.mark.parametrize("source", ["split.csv", "catalog", "train"])
def test_the_line_that_is_printed_trains_on_the_new_split(
    folder: Folder, run: Run, source: str
) -> None:
    """Whatever says which scenes there are now, and however the config calls the splits."""
    for at, name in enumerate("abc"):
        folder.add(name, roofs(), f"{at + 1}", east_km=20 * at)
    folder.rows = [{**row, "fold": row.pop("split")} for row in folder.rows]
    pairs = [{"image": f"{name}.tif", "mask": f"{name}_mask.tif"} for name in "abc"]
    said: dict[str, dict[str, object]] = {
        "split.csv": {},
        "catalog": {"catalog": "split.csv"},
        "train": {"train": pairs},
    }
    splits = {"column": "fold", "train": [1, 2], "val": [3]}
    config = folder.config(splits=splits, root="${data_root}", **said[source])
    root = ("--set", f"data_root={folder.path / 'data'}")
    out = folder.path / "new split" / "mine.csv"
    done = run("data", "split", config, *root, "-o", out, "--block-px", 16, "--buffer-px", 2)
    assert done.code == 0, done.err
    (line,) = (line for line in done.err.splitlines() if "to use it" in line)
    file, *words = shlex.split(line.partition("geohier train ")[2])
    scenes = read_catalog(load_config(Path(file), words[1::2]).data).scenes
    rows = list(csv.DictReader(out.read_text().splitlines()))
    assert {row["fold"] for row in rows} == {"1", "3"}
    assert [(one.id, one.split, windows_text(one.windows)) for one in scenes] == [
        (row["scene"], {"1": "train", "3": "val"}[row["fold"]], row["windows"]) for row in rows
    ]


def test_a_folder_of_images_and_masks_is_split_as_it_is(folder: Folder, run: Run) -> None:
    for kind in ("images", "masks"):
        (folder.path / "data" / kind).mkdir()
    for at, name in enumerate("ab"):
        place = {"transform": Affine(10, 0, 500_000 + 20 * KM * at, 0, -10, 5_000_000)}
        folder.write(np.zeros((3, 64, 64), "uint8"), f"data/images/{name}.tif", **place)
        folder.write(roofs()[None], f"data/masks/{name}.tif", **place)
    data = folder.path / "data"
    done = run("data", "split", data, "--out", data / "split.csv", "--block-px", 16)
    assert done.code == 2
    assert "buffers of 64 px around the val blocks leave nothing to train on" in done.err
    options = ("--block-px", 16, "--buffer-px", 4, "--val-share", 0.25)
    done = run("data", "split", data, "--out", data / "split.csv", *options)
    assert done.code == 0, done.err
    shares = [line.split() for line in done.out.splitlines() if "class_1" in line]
    assert shares[0][2] == "14.1%"
    rows = list(csv.DictReader((data / "split.csv").read_text().splitlines()))
    assert {(row["scene"], row["split"]) for row in rows} >= {("a", "train"), ("b", "train")}
    assert rows[0]["image"] == "images/a.tif"


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--folds", "3", "--val-share", "0.3"), "--val-share is not for --folds"),
        (("--val-share", "1"), "give a share above 0 and below 1"),
        (("--block-px", "900"), "1 blocks hold labels, but 2 parts are wanted"),
    ],
)
def test_splits_that_cannot_be_are_refused(
    folder: Folder, run: Run, options: tuple[str, ...], complaint: str
) -> None:
    folder.add("a", roofs())
    done = run("data", "split", folder.config(), "--out", folder.path / "s.csv", *options)
    assert done.code == 2
    assert complaint in done.err
    assert not (folder.path / "s.csv").exists()


def test_a_split_never_takes_the_place_of_its_config(folder: Folder, run: Run) -> None:
    folder.add("a", roofs())
    config = folder.config()
    before = config.read_text()
    done = run("data", "split", config, "--out", config, "--overwrite", "--block-px", 16)
    assert (done.code, config.read_text()) == (2, before)
    assert "a split is a table: give a name that ends in .csv" in done.err
