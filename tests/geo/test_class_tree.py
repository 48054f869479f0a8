from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import class_trees

from geohier.errors import ConfigError
from geohier.geo.class_tree import MOST_LEVELS, ClassTree

CLASSES = ["forest", "wheat", "maize", "bare"]
NESTED = {"vegetation": ["forest", {"crops": ["wheat", "maize"]}], "bare": ["bare"]}


@given(class_trees())
def test_every_level_groups_all_classes_and_never_splits_a_coarser_group(tree: ClassTree) -> None:
    finest = tuple(range(len(tree.classes)))
    partitions = [*(level.group_of for level in tree.levels), finest]
    for level in tree.levels:
        assert sorted(set(level.group_of)) == list(range(len(level.names)))
        members = [level.members(group) for group in range(len(level.names))]
        assert sorted(sum(members, ())) == list(finest)
    for coarse, fine in pairwise(partitions):
        assert len(set(zip(fine, coarse, strict=True))) == len(set(fine)) > len(set(coarse))


@given(class_trees(), st.randoms())
def test_a_tree_is_the_same_whatever_order_its_classes_have(
    tree: ClassTree, random: object
) -> None:
    order = list(tree.classes)
    random.shuffle(order)  # type: ignore[attr-defined]
    other = tree.reordered(order)
    assert other is not None
    assert other.reordered(tree.classes) == tree
    assert ClassTree.from_json(tree.to_json(), tree.classes) == tree
    for one, two in zip(tree.levels, other.levels, strict=True):
        assert set(one.names) == set(two.names)
    assert tree.reordered([*order[1:], "another"]) is None


def test_a_class_that_is_less_deep_is_a_group_of_its_own() -> None:
    tree = ClassTree.of(NESTED, CLASSES)
    assert [level.names for level in tree.levels] == [
        ("vegetation", "bare"),
        ("forest", "crops", "bare"),
    ]
    assert [level.group_of for level in tree.levels] == [(0, 0, 0, 1), (0, 1, 1, 2)]


def test_groups_may_also_be_given_as_mappings_and_single_names() -> None:
    spelt = {"vegetation": {"forest": "forest", "crops": ["wheat", "maize"]}, "bare": "bare"}
    assert ClassTree.of(spelt, CLASSES) == ClassTree.of(NESTED, CLASSES)


def deep(levels: int) -> dict[str, object]:
    nested: dict[str, object] = {"g0": ["wheat", "maize"]}
    for at in range(1, levels):
        nested = {f"g{at}": [nested]}
    return nested


@pytest.mark.parametrize(
    ("nested", "says"),
    [
        ({"green": ["forest", "rye"]}, "rye is no class: they are forest wheat maize bare"),
        ({"green": ["forest"], "low": ["forest"]}, "the class forest twice"),
        ({"green": ["forest", "wheat"]}, "lacks the class maize: add it, as maize: [maize]"),
        ({"bare": CLASSES}, "a group bare, but bare is a class: rename the group"),
        ({"green": []}, "nothing in the group green"),
        ({"green": {}}, "nothing in the group green"),
        ({"green": CLASSES}, "all classes in green on its first level: give two groups"),
        ({name: [name] for name in CLASSES}, "groups nothing: give groups as in {vegetation"),
        ({"a": CLASSES[:2], "b": CLASSES[2:3], "c": {"d": CLASSES[3:]}}, "on level 2"),
        (
            {"a": {"x": ["forest"], "y": ["wheat"]}, "b": {"x": ["maize"], "z": ["bare"]}},
            "two groups x: give each its own name",
        ),
        ({"green": [3]}, "3 is no name: quote it"),
        ({"green": [["forest"]]}, "['forest'] is no name"),
        (deep(MOST_LEVELS + 1), f"deeper than {MOST_LEVELS} levels below g{MOST_LEVELS}"),
    ],
)
def test_what_is_no_tree_is_refused_in_one_line(nested: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ClassTree.of(nested, CLASSES)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
