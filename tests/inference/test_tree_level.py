import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import class_trees

from geohier.geo.class_tree import ClassTree
from geohier.inference.reduction import Reduction


@given(class_trees(), st.integers(0, 2**32 - 1))
def test_the_probability_of_a_parent_is_the_sum_of_its_children(tree: ClassTree, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    scores = 4 * torch.randn(len(tree.classes), 5, 6, generator=generator)
    children, group_of_child = scores.softmax(0), tree.levels[-1].group_of
    for number, level in reversed([*enumerate(tree.levels)]):
        reduction = Reduction(classes=len(level.names), group_of=level.group_of)
        parents = reduction.blendable(scores)
        summed = torch.zeros_like(parents).index_add_(0, torch.tensor(group_of_child), children)
        assert float((parents - summed).abs().max()) <= 1e-6
        assert float((parents.sum(0) - 1).abs().max()) <= 1e-6
        labels = reduction.of_scores(scores)["labels"]
        assert torch.equal(labels, reduction.of_blended(parents)["labels"])
        assert torch.equal(labels[0].long(), parents.argmax(0))
        children = parents
        if number:
            coarser = tree.levels[number - 1].group_of
            group_of_child = tuple(coarser[level.members(at)[0]] for at in range(len(level.names)))


def test_only_as_many_numbers_are_carried_as_there_are_groups() -> None:
    grouped = Reduction(classes=2, group_of=(0, 1, 1))
    assert grouped.blendable(torch.zeros(3, 2, 2)).shape == (2, 2, 2)
    with pytest.raises(IndexError):
        Reduction(classes=1, group_of=(0, 1, 1)).blendable(torch.zeros(3, 2, 2))
