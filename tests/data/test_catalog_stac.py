"""STAC catalogues on disk as lists of labelled scenes."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pystac
import pytest

from geohier.config.schema import DataConfig
from geohier.data.catalog import read_catalog
from geohier.errors import InputError, UnsafeInputError

type Assets = dict[str, tuple[str, list[str]]]

USUAL: Assets = {"image": ("scene.tif", ["data"]), "mask": ("scene_mask.tif", ["labels"])}


def make_config(root: Path, catalog: str = "catalog.json", **data: object) -> DataConfig:
    both = {"root": root, "catalog": catalog, "classes": {0: "ground", 1: "roof"}}
    return DataConfig.model_validate({**both, **data})


def make_item(name: str, assets: Assets = USUAL, **properties: object) -> pystac.Item:
    when = datetime(2024, 5, 1, tzinfo=UTC)
    item = pystac.Item(name, None, None, when, {"windows": "0 0 8 8", **properties})
    for key, (href, roles) in assets.items():
        item.add_asset(key, pystac.Asset(href, roles=roles or None))
    return item


def save(folder: Path, *items: pystac.Item, children: dict[str, list[pystac.Item]]) -> Path:
    """Write a self-contained catalogue, with an empty file for each local asset."""
    catalog = pystac.Catalog("roofs", "Roofs and their labels")
    catalog.add_items(items)
    for name, inside in children.items():
        child = pystac.Catalog(name, name)
        child.add_items(inside)
        catalog.add_child(child)
    catalog.normalize_and_save(str(folder), pystac.CatalogType.SELF_CONTAINED)
    for file in folder.rglob("*.json"):
        for asset in json.loads(file.read_text()).get("assets", {}).values():
            if "://" not in asset["href"]:
                (file.parent / asset["href"]).touch()
    return folder


def edit(file: Path, **changes: object) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def test_items_are_scenes_and_a_property_says_their_split(tmp_path: Path) -> None:
    items = [make_item("a", split="train"), make_item("b", split="val"), make_item("c", split="x")]
    save(tmp_path, *items, children={})
    a, b = read_catalog(make_config(tmp_path)).scenes
    assert (a.id, a.split, b.id, b.split) == ("a", "train", "b", "val")
    assert a.image == tmp_path / "a" / "scene.tif"
    assert a.mask == tmp_path / "a" / "scene_mask.tif"
    assert a.windows[0].height == 8


@pytest.mark.parametrize(
    ("properties", "splits"),
    [
        ({"ml-aoi:split": "validate"}, {}),
        ({"fold": 3}, {"column": "fold", "val": [3]}),
        ({"split": "test"}, {"val": ["test"]}),
    ],
    ids=["ml-aoi", "a number", "test judges"],
)
def test_properties_and_names_of_splits_may_be_others(
    tmp_path: Path, properties: dict[str, object], splits: dict[str, object]
) -> None:
    learned = make_item("a", split="train", fold="train")
    save(tmp_path, learned, make_item("b", **properties), children={})
    assert [one.id for one in read_catalog(make_config(tmp_path, splits=splits)).val] == ["b"]


def test_a_collection_may_be_the_split(tmp_path: Path) -> None:
    save(tmp_path, children={"train": [make_item("a")], "val": [make_item("b")], "x": []})
    found = read_catalog(make_config(tmp_path))
    assert [one.id for one in found.train] == ["a"]
    assert [one.id for one in found.val] == ["b"]


def test_a_test_item_without_labels_is_left_out(tmp_path: Path) -> None:
    unlabelled = make_item("b", {"image": ("scene.tif", [])}, split="test")
    save(tmp_path, make_item("a", split="train"), unlabelled, children={})
    assert [one.id for one in read_catalog(make_config(tmp_path)).scenes] == ["a"]


@pytest.mark.parametrize(
    ("assets", "data"),
    [
        ({"S2": ("scene.tif", ["data"]), "roofs": ("scene_mask.tif", ["labels"])}, {}),
        ({"visual": ("scene.tif", []), "label": ("scene_mask.tif", [])}, {}),
        (
            {"B4": ("scene.tif", ["data"]), "dem": ("dem.tif", ["data"]), "lu": ("m.tif", [])},
            {"image_columns": ["B4", "dem"], "labels": {"column": "lu"}},
        ),
        (USUAL | {"thumbnail": ("https://example.org/t.png", ["thumbnail"])}, {}),
    ],
    ids=["by role", "by key", "as the config says", "others may be remote"],
)
def test_assets_are_found_by_key_or_role(
    tmp_path: Path, assets: Assets, data: dict[str, object]
) -> None:
    save(tmp_path, make_item("a", assets, split="train"), children={})
    (scene,) = read_catalog(make_config(tmp_path, **data)).scenes
    assert scene.image.name == "scene.tif"
    assert len(scene.more) == ("dem" in assets)


def test_assets_that_could_be_several_things_are_named(tmp_path: Path) -> None:
    assets: Assets = {"a1": ("1.tif", ["data"]), "a2": ("2.tif", ["data"]), "m": ("m.tif", [])}
    save(tmp_path, make_item("a", assets, split="train"), children={})
    says = r"a.json: 2 of its assets can be image: a1 \(data\) a2 \(data\) m \(no role\); name one"
    with pytest.raises(InputError, match=says):
        read_catalog(make_config(tmp_path))


@pytest.mark.parametrize(
    "href", ["https://example.org/a.tif", "/vsicurl/https://example.org/a.tif", "s3://bucket/a.tif"]
)
def test_an_image_on_the_network_is_refused(tmp_path: Path, href: str) -> None:
    save(tmp_path, make_item("a", split="train"), children={})
    file = tmp_path / "a" / "a.json"
    assets = json.loads(file.read_text())["assets"]
    edit(file, assets={**assets, "image": {"href": href}})
    with pytest.raises(UnsafeInputError, match=r"a.json leads to .* not on this machine"):
        read_catalog(make_config(tmp_path))


def test_links_may_not_leave_the_folder_unless_data_root_holds_it(tmp_path: Path) -> None:
    folder = save(tmp_path / "stac", make_item("a", split="train"), children={})
    (tmp_path / "scene.tif").touch()
    file = folder / "a" / "a.json"
    assets = json.loads(file.read_text())["assets"]
    edit(file, assets={**assets, "image": {"href": "../../scene.tif"}})
    with pytest.raises(UnsafeInputError, match=r"out of .*stac: move it into the folder, or set"):
        read_catalog(make_config(folder))
    wider = make_config(tmp_path, "stac/catalog.json")
    assert read_catalog(wider).scenes[0].image == tmp_path / "scene.tif"


def test_a_catalogue_on_the_network_is_not_asked_for(tmp_path: Path) -> None:
    save(tmp_path, make_item("a", split="train"), children={})
    link = {"rel": "child", "href": "https://example.org/catalog.json"}
    edit(tmp_path / "catalog.json", links=[link])
    with pytest.raises(UnsafeInputError, match=r"leads to 'https://.*/catalog.json'"):
        read_catalog(make_config(tmp_path))


def test_links_in_a_circle_are_one_line(tmp_path: Path) -> None:
    save(tmp_path, children={"train": [make_item("a")]})
    edit(tmp_path / "train" / "catalog.json", links=[{"rel": "child", "href": "../catalog.json"}])
    with pytest.raises(InputError, match=r"go in a circle, .*/train/catalog.json -> .*: remove"):
        read_catalog(make_config(tmp_path))


def test_an_item_that_is_linked_twice_is_one_scene(tmp_path: Path) -> None:
    save(tmp_path, make_item("a", split="train"), children={"more": []})
    edit(tmp_path / "more" / "catalog.json", links=[{"rel": "item", "href": "../a/a.json"}])
    assert len(read_catalog(make_config(tmp_path)).scenes) == 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "cannot be read as JSON"),
        ("[1]", "holds a list: give a STAC catalogue"),
        ('{"stac_version": "0.8.1"}', "is of STAC version 0.8.1: 1.0 or later is read"),
        ('{"stac_version": "1.0.0", "type": "Feature"}', "is no STAC that can be read"),
        ("[" * 100_000, "cannot be read as JSON"),
        (None, "no such file"),
    ],
    ids=["half", "a list", "old", "no item", "too deep", "gone"],
)
def test_a_damaged_item_is_refused_in_one_line(tmp_path: Path, text: str | None, says: str) -> None:
    save(tmp_path, make_item("a", split="train"), children={})
    file = tmp_path / "a" / "a.json"
    if text is None:
        file.unlink()
    else:
        file.write_text(text)
    with pytest.raises(InputError, match=says) as found:
        read_catalog(make_config(tmp_path))
    assert "\n" not in str(found.value)


def test_a_missing_image_is_named_with_its_item(tmp_path: Path) -> None:
    save(tmp_path, make_item("a", split="train"), children={})
    (tmp_path / "a" / "scene.tif").unlink()
    with pytest.raises(InputError, match=r"a/scene.tif: there is no such file: .* of scene a"):
        read_catalog(make_config(tmp_path))
