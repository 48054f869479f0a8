"""Axes and variants, as they are typed and as files have them."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geohier.config.ablation import Variant, read_variants
from geohier.errors import ConfigError


def test_each_value_of_an_axis_is_a_variant_of_its_own() -> None:
    found = read_variants(["model.decoder=fpn,unet", "augment.scale=[1, 1],[0.5, 2]"])
    assert [(one.name, one.values) for one in found] == [
        ("model.decoder=fpn", {"model.decoder": "fpn"}),
        ("model.decoder=unet", {"model.decoder": "unet"}),
        ("augment.scale=[1, 1]", {"augment.scale": [1, 1]}),
        ("augment.scale=[0.5, 2]", {"augment.scale": [0.5, 2]}),
    ]


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4))
def test_a_grid_takes_every_value_with_every_other(lengths: list[int]) -> None:
    axes = [f"a.k{at}={','.join(map(str, range(count)))}" for at, count in enumerate(lengths)]
    found = read_variants(axes, grid=True)
    expected = 1
    for count in lengths:
        expected *= count
    assert len({tuple(one.values.items()) for one in found}) == len(found) == expected
    assert all(len(one.values) == len(lengths) for one in found)


def test_a_file_has_axes_and_variants_and_a_grid_leaves_variants_alone(tmp_path: Path) -> None:
    path = tmp_path / "axes.yaml"
    path.write_text("a.b: [1, null]\nnarrow: {model.pyramid_channels: 64, chips: {size_px: 32}}\n")
    named = Variant(
        name="narrow",
        values={"model.pyramid_channels": 64, "chips": {"size_px": 32}},
        origin=f"{path}: narrow",
        is_named=True,
    )
    assert [one.name for one in read_variants([str(path)])] == ["a.b=1", "a.b=null", "narrow"]
    crossed = read_variants([str(path), "c=x,y"], grid=True)
    assert [one.name for one in crossed[:-1]] == [
        f"a.b={value}, c={letter}" for value in ("1", "null") for letter in "xy"
    ]
    assert crossed[-1] == named


@pytest.mark.parametrize(
    ("axes", "says"),
    [
        (["model.decoder"], r"--axes model.decoder: give a YAML file, or KEY=VALUE,VALUE"),
        (["model..decoder=a"], "give a YAML file, or KEY"),
        (["a.b="], "a.b: give a list of values"),
        (["a.b=1,2,1"], "a.b: 1 stands twice: give each value once"),
        (["a.b=[1"], "--axes a.b: line 1:"),
        (["a.b=*x"], "alias"),
        (["a.b=1", "a.b=2"], "a.b is the name of another"),
        (["none.yaml"], "none.yaml: cannot be read"),
        ([], "hold no variant"),
    ],
)
def test_mistakes_in_axes_are_told(axes: list[str], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        read_variants(axes)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("null: {a.b: 1}", "None: is no text: put names in quotes"),
        ("a.b: 3", "a.b: give a list of values, or for a variant of this name {key: value}"),
        ("small: {}", "small: give the variant keys of the config and values"),
        ("small: {1: 2}", "small: give the variant keys of the config and values"),
        ("baseline: {a.b: 1}", "baseline is the name of the config as it is"),
    ],
)
def test_mistakes_in_a_file_are_told(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "axes.yaml").write_text(text)
    with pytest.raises(ConfigError) as told:
        read_variants([str(tmp_path / "axes.yaml")])
    assert says in str(told.value)
