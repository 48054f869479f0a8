from collections.abc import Callable
from pathlib import Path

import pytest

from geohier.config.load import dump_config, load_config
from geohier.errors import ConfigError

WriteConfig = Callable[..., Path]

CLASSES = "{forest: 1, wheat: 2, maize: 3, bare: 4}"
TREE = "{green: [forest, {crops: [wheat, maize]}], bare: [bare]}"


@pytest.fixture
def write_config(tmp_path: Path) -> WriteConfig:
    def write(data: str, more: str = "", name: str = "run.yaml") -> Path:
        (tmp_path / name).write_text(f"data:\n  classes: {CLASSES}\n{data}{more}")
        return tmp_path / name

    return write


def test_a_tree_is_read_dumped_and_read_back(write_config: WriteConfig, tmp_path: Path) -> None:
    config = load_config(write_config(f"  class_tree: {TREE}\n", "objectives: {tree: 0.5}\n"))
    tree = config.data.tree
    assert tree is not None
    assert [level.names for level in tree.levels] == [
        ("green", "bare"),
        ("forest", "crops", "bare"),
    ]
    assert config.objectives.used["tree"] == 0.5
    (tmp_path / "again.yaml").write_text(dump_config(config))
    assert load_config(tmp_path / "again.yaml", ["data_root=."]).data.tree == tree


def test_a_tree_replaces_that_of_the_parent(write_config: WriteConfig, tmp_path: Path) -> None:
    write_config(f"  class_tree: {TREE}\n", name="base.yaml")
    other = tmp_path / "run.yaml"
    other.write_text("extends: base.yaml\n")
    flat = "data.class_tree={low: [wheat, maize, bare], high: [forest]}"
    tree = load_config(other, [flat]).data.tree
    assert tree is not None
    assert [level.names for level in tree.levels] == [("high", "low")]
    assert load_config(other, ["data.class_tree=null"]).data.tree is None


@pytest.mark.parametrize(
    ("data", "more", "says"),
    [
        ("", "objectives: {tree: 1}\n", "objectives.tree learns levels of classes, but"),
        ("  class_tree: {green: [rye]}\n", "", "rye is no class: they are forest wheat maize bare"),
        ("  class_tree: [forest]\n", "", "data.class_tree: "),
        ("  class_tree: {green: [forest, wheat]}\n", "", "lacks the class maize"),
        (f"  class_tree: {TREE}\n", "objectives: {tree: -1}\n", "objectives.tree.weight: "),
    ],
)
def test_what_is_no_tree_is_said_in_one_line(
    write_config: WriteConfig, data: str, more: str, says: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(write_config(data, more))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
