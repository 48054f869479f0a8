"""geohier evaluate, as it is typed."""

import json
from collections.abc import Callable
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
import typer
from PIL import Image
from small_models import save_small_model
from typer.testing import CliRunner

from geohier.cli.evaluate import evaluate

Write = Callable[..., Path]

app = typer.Typer(pretty_exceptions_enable=False)
app.command()(evaluate)


@pytest.fixture
def maps(write_scene: Write, tmp_path: Path) -> Path:
    """Two predictions in out/, and their labels in masks/; scene b has no building."""
    for folder in ("out", "masks"):
        (tmp_path / folder).mkdir()
    classes = json.dumps([{"value": 0, "name": "ground"}, {"value": 1, "name": "building"}])
    for name, found, true in (("a", [0, 1, 1, 1], [0, 0, 1, 255]), ("b", [0] * 4, [0] * 4)):
        path = write_scene(np.array([[found]], "uint8"), f"out/{name}.tif", nodata=255)
        with rasterio.open(path, "r+") as file:
            file.update_tags(classification_classes=classes)
        write_scene(np.array([[true]], "uint8"), f"masks/{name}.tif")
    return tmp_path


def run(*words: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, [str(word) for word in words])
    return result.exit_code, result.stdout, result.stderr


def test_scores_are_printed_as_tables(maps: Path) -> None:
    code, out, _ = run(maps / "out", "--labels", maps / "masks")
    assert code == 0
    rows = {line.split()[0]: line.split() for line in out.splitlines() if line.strip()}
    assert rows["building"][1] in ("0.500", "0.0%")
    assert rows["b"][1:] == ["1.000", "absent", "1.000", "1.000", "4"]
    assert "accuracy 0.857 over 2 scenes; ranges from 2 blocks of 512 px" in out


def test_several_label_values_may_mean_unlabelled(maps: Path, write_scene: Write) -> None:
    write_scene(np.array([[[0, 9, 1, 7]]], "uint8"), "masks/a.tif")
    scored = (maps / "out/a.tif", "--labels", maps / "masks/a.tif", "--json")

    def confusion(ignore: str) -> object:
        return json.loads(run(*scored, "--ignore", ignore)[1])["pooled"]["confusion"]

    assert confusion("9, 7") == [[1, 0], [0, 1]]
    assert confusion("0,9,7") == [[0, 0], [0, 1]]
    code, _, err = run(*scored, "--ignore", "7")
    assert code == 3
    assert "has label 9 (1 px" in err


def test_scores_are_printed_as_json(maps: Path) -> None:
    code, out, _ = run(maps / "out", "--labels", maps / "masks", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["pooled"]["classes"]["building"]["iou"] == 0.5
    assert found["pooled"]["confusion"] == [[5, 1], [0, 1]]
    assert found["scenes"]["b"]["classes"]["building"]["iou"] is None


def test_pictures_are_drawn(maps: Path) -> None:
    words = ("--labels", maps / "masks", "--images", maps / "masks", "--picture", maps / "png")
    assert run(maps / "out", *words)[0] == 0
    assert sorted(path.name for path in (maps / "png").iterdir()) == ["a.png", "b.png"]


def test_a_model_is_scored_on_plain_pngs_with_the_options_of_predict(tmp_path: Path) -> None:
    Image.fromarray(np.full((64, 64, 3), 100, "uint8")).save(tmp_path / "image.png")
    Image.fromarray(np.full((64, 64), 2, "uint8")).save(tmp_path / "mask.png")
    (tmp_path / "split.csv").write_text(
        "scene,split,image,mask\nfit,train,image.png,mask.png\njudge,val,image.png,mask.png\n"
    )
    config = tmp_path / "config.yaml"
    config.write_text("data: {root: ., classes: {land: 0, water: 1, roof: 2}}")
    model = save_small_model(tmp_path / "model")
    scored = ("--model", model, "--data", config, "--json", "--threshold")
    sure = json.loads(run(*scored, "roof=0")[1])
    never = json.loads(run(*scored, "land=0")[1])
    assert (sure["pooled"]["accuracy"], never["pooled"]["accuracy"]) == (1.0, 0.0)


def test_points_are_scored_as_discs_inside_areas(write_scene: Write, tmp_path: Path) -> None:
    classes = json.dumps([{"value": 0, "name": "ground"}, {"value": 1, "name": "tree"}])
    path = write_scene(np.ones((1, 20, 20), "uint8"), "map.tif", nodata=255)
    with rasterio.open(path, "r+") as file:
        file.update_tags(classification_classes=classes)
        place, crs = file.transform, file.crs
    tree = shapely.Point(place @ (10.5, 10.5))
    area = shapely.Polygon([place @ corner for corner in ((0, 0), (20, 0), (20, 15), (0, 15))])
    for name, shape in (("trees", tree), ("areas", area)):
        geopandas.GeoDataFrame(geometry=[shape], crs=crs).to_file(tmp_path / f"{name}.gpkg")
    labels = ("--labels", tmp_path / "trees.gpkg", "--point-radius-m", 0.1)
    found = json.loads(
        run(path, *labels, "--areas", tmp_path / "areas.gpkg", "--outside", "ground", "--json")[1]
    )
    assert found["pooled"]["confusion"] == [[0, 20 * 15 - 1], [0, 1]]


def test_a_picture_that_cannot_be_drawn_leaves_the_score(maps: Path) -> None:
    images = maps / "images"
    images.mkdir()
    for name in "ab":
        (images / f"{name}.tif").write_text("no image")
    words = ("--labels", maps / "masks", "--images", images, "--picture", maps / "png", "--json")
    code, out, _ = run(maps / "out", *words)
    found = json.loads(out)
    assert (code, found["failures"], len(found["scenes"])) == (0, {}, 2)
    assert all("there is no picture" in notes[-1] for notes in found["notes"].values())


def test_pictures_never_take_the_place_of_images(maps: Path) -> None:
    images = maps / "images"
    images.mkdir()
    for name in "ab":
        (images / f"{name}.png").write_text("an image")
    words = ("--labels", maps / "masks", "--images", images, "--picture", images)
    code, _, err = run(maps / "out", *words)
    assert (code, (images / "a.png").read_text()) == (2, "an image")
    assert "a.png is read for this result: choose another path for it" in err


def test_a_scene_that_fails_is_named_and_the_exit_code_is_6(maps: Path) -> None:
    (maps / "masks" / "a.tif").write_bytes(b"II*\0 no more of it")
    code, out, err = run(maps / "out", "--labels", maps / "masks")
    assert code == 6
    assert "a is not scored" in err
    assert "accuracy 1.000 over 1 scene" in out


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ((), 2, "PREDICTION is missing"),
        (("{out}/a.tif",), 2, "--labels is missing"),
        (("--model", "{out}"), 2, "--data is missing"),
        (("{out}/a.tif", "--model", "{out}", "--data", "x.yaml"), 2, "PREDICTION is for scoring"),
        (("{out}/a.tif", "--labels", "{masks}", "--set", "a=1"), 2, "--set is for scoring a model"),
        (("{out}/a.tif", "--labels", "{masks}", "--ignore", "x"), 2, "--ignore x"),
        (("{out}/a.tif", "--labels", "{masks}", "--batch-size", "2"), 2, "--batch-size is for"),
        (("{out}/a.tif", "--labels", "{masks}", "--split", "train"), 2, "--split is for scoring"),
        (("{out}/a.tif", "--labels", "{masks}", "--sample", "0"), 2, "--sample is for scoring"),
        (("{out}/a.tif", "--labels", "{masks}", "--classes", "a,a"), 2, "--classes"),
        (("--model", "{out}", "--data", "{out}/none.yaml"), 2, "none.yaml"),
        (("{out}/none.tif", "--labels", "{masks}/a.tif", "--classes", "a,b"), 3, "no such file"),
        (("{out}/a.tif", "--labels", "{masks}/b.png"), 3, "b.png: no such file"),
        (("/vsicurl/x.tif", "--labels", "{masks}/a.tif", "--classes", "a,b"), 3, "not a file on"),
    ],
)
def test_mistakes_are_named_in_one_line(
    maps: Path, words: tuple[str, ...], code: int, message: str
) -> None:
    filled = [word.format(out=maps / "out", masks=maps / "masks") for word in words]
    found, out, err = run(*filled)
    assert (found, out) == (code, "")
    assert message in err
    assert len(err.splitlines()) == 1


TREE = {"ground": ["low"], "grass": ["low"], "building": []}


@pytest.fixture
def map_with_a_tree(write_scene: Write) -> Path:
    names = ("ground", "grass", "building")
    path = write_scene(np.array([[[0, 0, 1, 2, 255]]], "uint8"), "map.tif", nodata=255)
    entries = [{"value": value, "name": name} for value, name in enumerate(names)]
    with rasterio.open(path, "r+") as file:
        file.update_tags(
            classification_classes=json.dumps(entries), geohier_class_tree=json.dumps(TREE)
        )
    write_scene(np.array([[[1, 0, 2, 2, 1]]], "uint8"), "labels.tif")
    return path


def test_scores_are_given_at_each_level_of_a_tree(map_with_a_tree: Path) -> None:
    scored = (map_with_a_tree, "--labels", map_with_a_tree.with_name("labels.tif"))
    found = json.loads(run(*scored, "--json")[1])
    assert found["pooled"]["confusion"] == [[1, 0, 0], [1, 0, 0], [0, 1, 1]]
    (level,) = found["tree_levels"]
    assert level["classes"] == ["low", "building"]
    assert level["pooled"]["confusion"] == [[2, 0], [1, 1]]
    assert level["pooled"]["classes"]["low"]["unpredicted"] == 1
    assert level["scenes"]["map"]["accuracy"] == 0.75
    code, out, _ = run(*scored)
    assert code == 0
    table = out[out.index("Level 1 of the tree of classes") :].splitlines()
    assert next(line.split()[1] for line in table if line.split()[:1] == ["low"]) == "0.667"


def test_maps_of_other_names_have_no_levels(map_with_a_tree: Path) -> None:
    scored = (map_with_a_tree, "--labels", map_with_a_tree.with_name("labels.tif"), "--json")
    assert "tree_levels" not in json.loads(run(*scored, "--classes", "a=0,b=1,c=2")[1])
    swapped = json.loads(run(*scored, "--classes", "building=2,grass=1,ground=0")[1])
    assert swapped["tree_levels"][0]["pooled"]["confusion"] == [[2, 0], [1, 1]]


def test_trees_that_differ_are_not_scored_together(map_with_a_tree: Path) -> None:
    other = map_with_a_tree.with_name("other.tif")
    other.write_bytes(map_with_a_tree.read_bytes())
    with rasterio.open(other, "r+") as file:
        file.update_tags(geohier_class_tree=json.dumps(TREE | {"grass": [], "building": ["low"]}))
    labels = map_with_a_tree.parent / "masks"
    labels.mkdir()
    for name in ("map", "other"):
        (labels / f"{name}.tif").write_bytes(other.with_name("labels.tif").read_bytes())
    code, _, err = run(map_with_a_tree, other, "--labels", labels)
    assert code == 2
    assert "have different trees of classes: score them apart" in err


@pytest.mark.parametrize("tag", ["{", "3", '{"ground": ["low"]}'])
def test_a_map_whose_tree_makes_no_sense_is_not_scored(map_with_a_tree: Path, tag: str) -> None:
    with rasterio.open(map_with_a_tree, "r+") as file:
        file.update_tags(geohier_class_tree=tag)
    scored = (map_with_a_tree, "--labels", map_with_a_tree.with_name("labels.tif"), "--json")
    code, out, err = run(*scored)
    assert (code, out) == (3, "")
    assert "map.tif: the tree of its classes cannot be read" in err
