import json
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import class_trees

from geohier.errors import ModelError
from geohier.geo.bands import Band, BandSet, canonical
from geohier.models.card import ClassLabel, ModelCard
from geohier.models.stac import card_of, item_of

numbers = st.floats(allow_nan=False, allow_infinity=False)
names = st.text(min_size=1, max_size=8)
facts = st.recursive(
    st.none() | st.booleans() | st.integers() | numbers | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=4,
)

bands = st.builds(
    Band,
    name=names,
    dtype=st.sampled_from(["uint8", "int16", "float32"]),
    mean=numbers,
    std=st.floats(min_value=0, exclude_min=True, allow_infinity=False),
    low=st.none() | numbers,
    high=st.none() | numbers,
    scale=numbers,
    offset=numbers,
    nodata=st.none() | numbers | st.sampled_from([math.inf, -math.inf]),
    formula=st.sampled_from([None, None, "(a_band - 'b c') / 2 ** another"]),
)
labels = st.builds(
    ClassLabel,
    name=names,
    color=st.from_regex(r"#[0-9a-fA-F]{6}", fullmatch=True),
    label_values=st.lists(st.integers(), max_size=3).map(tuple),
)
cards = st.builds(
    ModelCard,
    bands=st.lists(bands, min_size=1, max_size=4, unique_by=lambda b: canonical(b.name)).map(
        lambda found: BandSet(tuple(found))
    ),
    classes=st.lists(labels, min_size=2, max_size=4).map(tuple),
    stride=st.integers(1, 64),
    strides=st.lists(st.integers(1, 64), max_size=4).map(tuple),
    gsd_m=st.none() | st.tuples(numbers, numbers),
    scale=st.none() | st.sampled_from([(0.5, 2.0), (1.0, 1.0)]),
    tile_size_px=st.none() | st.integers(32, 2048),
    margins_px=st.dictionaries(st.integers(1, 99), st.integers(0, 2048)),
    tile_dependent=st.booleans(),
    normalise=st.sampled_from(("train", "scene")),
    scaled=st.booleans(),
    trained_on=st.dictionaries(names, facts),
    scores=st.dictionaries(names, facts),
    versions=st.dictionaries(names, names),
    dates=st.none() | st.integers(1, 99),
)


@st.composite
def cards_with_tree(draw: st.DrawFn) -> ModelCard:
    tree = draw(class_trees())
    return replace(
        draw(cards),
        classes=tuple(ClassLabel(name=name, color="#102030") for name in tree.classes),
        tree=tree,
    )


def as_item(card: ModelCard) -> dict[str, object]:
    return item_of(card, architecture="fpn-resnet18", parameters=7, weights="model.safetensors")


@given(cards | cards_with_tree())
def test_a_card_comes_back_exactly_from_its_item(card: ModelCard) -> None:
    text = json.dumps(as_item(card), allow_nan=False)
    assert card_of(json.loads(text)) == card


def test_nodata_that_is_not_a_number_comes_back() -> None:
    band = Band(name="b", dtype="float32", mean=0, std=1, nodata=math.nan)
    card = ModelCard(bands=BandSet((band,)), classes=(LAND, WATER))
    found = card_of(json.loads(json.dumps(as_item(card), allow_nan=False)))
    nodata = found.bands.bands[0].nodata
    assert nodata is not None
    assert math.isnan(nodata)


LAND = ClassLabel(name="land", color="#aabbcc", label_values=(0, 3))
WATER = ClassLabel(name="open water", color="#0000FF", label_values=(1,))
CARD = ModelCard(
    bands=BandSet((Band(name="red", dtype="uint8", mean=90.5, std=30.25),)),
    classes=(LAND, WATER),
    margins_px={95: 40},
    versions={"torch": "2.15"},
)


def test_other_tools_find_the_fields_of_the_extension() -> None:
    found = as_item(CARD)
    assert found["type"] == "Feature"
    properties = found["properties"]
    assert isinstance(properties, dict)
    assert properties["mlm:input"][0]["input"]["shape"] == [-1, 1, -1, -1]
    assert properties["mlm:input"][0]["value_scaling"] == [
        {"type": "z-score", "mean": 90.5, "stddev": 30.25}
    ]
    classes = properties["mlm:output"][0]["classification:classes"]
    assert [(c["value"], c["name"], c["color_hint"]) for c in classes] == [
        (0, "land", "AABBCC"),
        (1, "open_water", "0000FF"),
    ]
    assert properties["mlm:total_parameters"] == 7
    assert properties["mlm:framework_version"] == "2.15"
    assert any("mlm" in uri for uri in found["stac_extensions"])  # type: ignore[attr-defined]


def test_a_computed_band_brings_its_formula_where_other_tools_look_for_it() -> None:
    red, ratio = (
        Band(name=name, dtype="float32", mean=0, std=1, formula=formula)
        for name, formula in (("red", None), ("ratio", "nir / (red + 1)"))
    )
    card = replace(CARD, bands=BandSet((red, ratio)))
    item = json.loads(json.dumps(as_item(card)))
    assert item["properties"]["mlm:input"][0]["bands"] == [
        {"name": "red"},
        {"name": "ratio", "format": "geohier", "expression": "nir / (red + 1)"},
    ]
    assert card_of(item).bands.inputs == ("red", "nir")


@pytest.mark.parametrize(
    "formula", ["__import__('os').system('id')", "(" * 900 + "nir", "nir + " * 500, "ratio + 1", 7]
)
def test_a_card_with_a_hostile_formula_is_refused(formula: object) -> None:
    ratio = Band(name="ratio", dtype="float32", mean=0, std=1, formula="nir / 2")
    item = as_item(replace(CARD, bands=BandSet((ratio,))))
    item["properties"]["bands"][0]["geohier:formula"] = formula  # type: ignore[index]
    with pytest.raises(ModelError, match="the card makes no sense: "):
        card_of(item)


def test_the_item_names_no_time_or_place_of_its_making() -> None:
    assert as_item(CARD) == as_item(CARD)
    assert as_item(CARD)["links"] == []


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("geohier:format", 99, "format 99"),
        ("geohier:stride", None, "makes no sense"),
        ("geohier:stride", 0, "stride must be 1"),
        ("geohier:margins_px", {"x": 1}, "makes no sense"),
        ("geohier:trained_on", 3, "makes no sense"),
        ("geohier:scale", [0, 1], "a scale rises from above 0"),
        ("geohier:scale", [2], "makes no sense"),
        ("geohier:class_tree", {"land": [3], "open water": []}, "3 is no name"),
        ("geohier:class_tree", {"land": "dry", "open water": []}, "'dry' where groups"),
        ("geohier:class_tree", {"land": ["dry"]}, "lacks the class open water"),
        ("bands", [], "distinct names"),
        ("mlm:output", [{"classification:classes": []}], "two classes"),
        ("mlm:output", [], "makes no sense"),
    ],
)
def test_a_field_that_makes_no_sense_is_named(field: str, value: object, says: str) -> None:
    item = as_item(CARD)
    item["properties"][field] = value  # type: ignore[index]
    with pytest.raises(ModelError, match=says):
        card_of(item)


LATER = {"geohier:normalise"}
"""Fields that cards of earlier versions lack."""


def test_a_card_of_an_earlier_version_normalises_by_the_train_scenes() -> None:
    item = as_item(replace(CARD, normalise="scene"))
    for field in LATER:
        del item["properties"][field]  # type: ignore[attr-defined]
    assert card_of(item) == CARD


def test_an_unknown_normalisation_is_refused() -> None:
    item = as_item(CARD)
    item["properties"]["geohier:normalise"] = "tile"  # type: ignore[index]
    with pytest.raises(ModelError, match="normalises by tile"):
        card_of(item)


@pytest.mark.parametrize(
    "field", [f for f in as_item(CARD)["properties"] if "geohier" in f and f not in LATER]
)  # type: ignore[attr-defined]
def test_a_missing_field_is_named(field: str) -> None:
    item = as_item(CARD)
    del item["properties"][field]  # type: ignore[attr-defined]
    with pytest.raises(ModelError, match=field):
        card_of(item)
