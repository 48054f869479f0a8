import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import class_trees

from geohier.config.objectives import ObjectivesConfig
from geohier.data.labels import IGNORE_INDEX
from geohier.geo.class_tree import ClassTree
from geohier.objectives.segmentation import SegmentationLoss

CLASSES = ("forest", "wheat", "maize", "bare")
TREE = ClassTree.of({"green": ["forest", {"crops": ["wheat", "maize"]}], "bare": "bare"}, CLASSES)


def loss_of(of: ClassTree | None, **terms: float) -> SegmentationLoss:
    config = ObjectivesConfig.model_validate({"cross_entropy": 0, "dice": 0, **terms})
    classes = CLASSES if of is None else of.classes
    return SegmentationLoss(config, classes, [1] * len(classes), of)


def one_pixel(*logits: float) -> torch.Tensor:
    return torch.tensor(logits)[None, :, None, None]


@given(class_trees(), st.integers(0, 2**32 - 1))
def test_the_loss_is_that_of_summed_probabilities(tree: ClassTree, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(2, len(tree.classes), 4, 4, generator=generator)
    labels = torch.randint(len(tree.classes), (2, 4, 4), generator=generator)
    labels[0, 0] = IGNORE_INDEX
    probabilities, known = logits.double().softmax(1), labels != IGNORE_INDEX
    expected = []
    for level in tree.levels:
        summed = torch.stack(
            [probabilities[:, level.members(at)].sum(1) for at in range(len(level.names))], 1
        )
        own = torch.tensor(level.group_of)[labels.clamp(max=len(tree.classes) - 1)]
        expected.append(-summed.gather(1, own[:, None])[:, 0][known].log().mean())
    found = loss_of(tree, tree=1).terms(logits, labels)["tree"]
    assert float(found) == pytest.approx(float(torch.stack(expected).mean()), rel=1e-5, abs=1e-6)


def test_known_answers_of_one_pixel() -> None:
    def loss(logits: torch.Tensor, label: int) -> float:
        return float(loss_of(TREE, tree=1).terms(logits, torch.tensor([[[label]]]))["tree"])

    even = one_pixel(0, 0, 0, 0)
    assert loss(even, 1) == pytest.approx((-math.log(3 / 4) - math.log(2 / 4)) / 2)
    assert loss(even, 3) == pytest.approx(-math.log(1 / 4))
    assert loss(one_pixel(0, 0, 50, 0), 1) == pytest.approx(0, abs=1e-9)  # maize, but it is a crop
    assert loss(one_pixel(50, 0, 0, 0), 1) == pytest.approx((50 - math.log(2)) / 2, rel=1e-5)
    assert loss(one_pixel(0, 0, 0, 50), 1) == pytest.approx((2 * 50 - math.log(6)) / 2, rel=1e-5)
    assert loss(even, IGNORE_INDEX) == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("size", [1e-4, 1.0, 1e4])
def test_gradients_are_finite_and_reach_all_classes(dtype: torch.dtype, size: float) -> None:
    logits = (size * torch.tensor([1.0, -1.0, 2.0, 0.5])).to(dtype)[None, :, None, None]
    logits.requires_grad_()
    terms = loss_of(TREE, tree=1).terms(logits, torch.tensor([[[3]]]))
    terms["tree"].backward()
    assert terms["tree"].dtype == torch.float32
    assert logits.grad is not None
    assert bool(logits.grad.isfinite().all())
    assert size > 1 or bool((logits.grad != 0).all())


def test_a_tree_without_the_loss_changes_no_term() -> None:
    logits, labels = torch.randn(1, 4, 8, 8), torch.randint(4, (1, 8, 8))
    without = loss_of(None, cross_entropy=1, dice=1).terms(logits, labels)
    beside = loss_of(TREE, cross_entropy=1, dice=1, tree=0).terms(logits, labels)
    assert without.keys() == beside.keys() == {"cross_entropy", "dice"}
    assert all(torch.equal(without[name], beside[name]) for name in without)
