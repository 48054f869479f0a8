"""A model whose classes have a tree, as it is typed: what inspect and evaluate make of it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cli.conftest import Run
from PIL import Image

from geohier.geo.class_tree import ClassTree
from geohier.models.directory import load_model, save_model

NAMES = ("land", "water", "roof")
TREE = ClassTree.of({"dry": ["land", "roof"], "wet": ["water"]}, NAMES)


@pytest.fixture
def grouped(model: Path, tmp_path: Path) -> Path:
    found = load_model(model)
    card = replace(found.card, tree=TREE)
    return save_model(tmp_path / "grouped", found.module, card, found.config)


def test_a_model_tells_the_groups_of_its_classes(run: Run, model: Path, grouped: Path) -> None:
    said = run("inspect", grouped)
    assert said.code == 0
    assert "tree level 1 0 dry (land, roof), 1 wet (water)" in said.out.splitlines()
    assert "tree level" not in run("inspect", model).out
    fields = run("inspect", grouped, "--json").json["card"]["properties"]
    assert fields["geohier:class_tree"] == {"land": ["dry"], "water": ["wet"], "roof": ["dry"]}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stated", "levels"),
    [
        ("", [["dry", "wet"]]),
        (", class_tree: {flat: [land, water], high: [roof]}", [["flat", "high"]]),
    ],
)
def test_a_model_is_scored_by_the_tree_of_the_config_or_else_its_own(
    run: Run, grouped: Path, tmp_path: Path, stated: str, levels: list[list[str]]
) -> None:
    pixels = np.random.default_rng(0).integers(0, 200, (64, 64, 3), dtype="uint8")
    Image.fromarray(pixels).save(tmp_path / "image.png")
    Image.fromarray(pixels[..., 0] % 3).save(tmp_path / "mask.png")
    (tmp_path / "split.csv").write_text(
        "scene,split,image,mask\na,train,image.png,mask.png\nb,val,image.png,mask.png\n"
    )
    config = tmp_path / "config.yaml"
    config.write_text(f"data: {{root: ., classes: {{roof: 2, water: 1, land: 0}}{stated}}}")
    found = run("evaluate", "--model", grouped, "--data", config, "--json").json
    assert [level["classes"] for level in found["tree_levels"]] == levels
    every = np.array(found["pooled"]["confusion"])
    into = np.eye(2, dtype=int)[[levels[0].index(_group(name, levels[0])) for name in NAMES]]
    assert found["tree_levels"][0]["pooled"]["confusion"] == (into.T @ every @ into).tolist()


def _group(name: str, level: list[str]) -> str:
    pairs = {"dry": ("land", "roof"), "wet": ("water",), "flat": ("land", "water"), "high": "roof"}
    return next(group for group in level if name in pairs[group])
