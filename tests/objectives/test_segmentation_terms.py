import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from geohier.config.objectives import ObjectivesConfig
from geohier.data.labels import IGNORE_INDEX
from geohier.evaluation.segmentation import class_scores
from geohier.objectives.segmentation import SegmentationLoss, losses_of_chips, weigh

EVERY = ("cross_entropy", "focal", "dice", "tversky", "lovasz", "boundary")


def drawn_labels(seed: int, classes: int, ignored: float) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (2, 8, 8), generator=generator)
    return labels.masked_fill(torch.rand(labels.shape, generator=generator) < ignored, IGNORE_INDEX)


def drawn_logits(seed: int, classes: int, scale: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(2, classes, 8, 8, generator=generator)


def perfect_logits(labels: Tensor, classes: int) -> Tensor:
    known = labels.masked_fill(labels == IGNORE_INDEX, 0)
    return 50.0 * torch.nn.functional.one_hot(known, classes).movedim(-1, 1)


def losses(
    logits: Tensor, labels: Tensor, counts: list[int] | None = None, **terms: object
) -> dict[str, Tensor]:
    """Return the given terms, or all of them with their defaults."""
    stated = dict.fromkeys(EVERY, 0.0) | (terms or dict.fromkeys(EVERY, 1.0))
    config = ObjectivesConfig.model_validate(stated)
    names = [str(at) for at in range(logits.shape[1])]
    return SegmentationLoss(config, names, counts or [1] * len(names)).terms(logits, labels)


def one(
    logits: Tensor, labels: Tensor, name: str, *, counts: object = None, **more: object
) -> float:
    found = losses(logits, labels, counts, **{name: {"weight": 1, **more}})  # type: ignore[arg-type]
    assert found.keys() == {name}
    return float(found[name])


@given(st.integers(0, 99), st.integers(2, 6), st.sampled_from([0.0, 0.5, 1.0]))
def test_every_loss_is_zero_on_a_perfect_answer(seed: int, classes: int, ignored: float) -> None:
    labels = drawn_labels(seed, classes, ignored)
    found = losses(perfect_logits(labels, classes), labels)
    assert tuple(found) == EVERY
    for term in found.values():
        assert float(term) == pytest.approx(0, abs=1e-6)


@given(st.integers(0, 99), st.integers(2, 6), st.sampled_from([0.0, 0.5]))
def test_every_loss_is_large_on_a_wrong_answer(seed: int, classes: int, ignored: float) -> None:
    labels = drawn_labels(seed, classes, ignored)
    wrong = perfect_logits((labels + 1) % classes, classes)
    for term in losses(wrong, labels, boundary={"reach_px": 1}, cross_entropy=1, focal=1).values():
        assert float(term) > 0.9
    for term in losses(wrong, labels, dice=1, tversky=1, lovasz=1).values():
        assert float(term) > 0.9


@given(st.integers(0, 99), st.sampled_from([torch.float32, torch.bfloat16, torch.float16]))
def test_what_stands_at_unlabelled_pixels_changes_nothing(seed: int, dtype: torch.dtype) -> None:
    labels = drawn_labels(seed, 3, 0.5)
    logits = drawn_logits(seed, 3).to(dtype)
    changed = torch.where((labels == IGNORE_INDEX).unsqueeze(1), 9 - logits, logits)
    before, after = losses(logits, labels), losses(changed, labels)
    for name in EVERY:
        assert float(before[name]) == pytest.approx(float(after[name]), rel=1e-5)


@given(st.integers(0, 99), st.sampled_from(EVERY))
def test_no_loss_pulls_at_unlabelled_pixels(seed: int, name: str) -> None:
    labels = drawn_labels(seed, 3, 0.5)
    logits = drawn_logits(seed, 3).requires_grad_()
    losses(logits, labels, **{name: 1})[name].backward()
    assert logits.grad is not None
    pull = logits.grad.abs().sum(dim=1)
    assert bool((pull[labels == IGNORE_INDEX] == 0).all())
    assert bool((pull[labels != IGNORE_INDEX] > 0).any())


@pytest.mark.parametrize("scale", [0.0, 1.0, 1e4])
@pytest.mark.parametrize("weights", [None, "balanced"])
def test_a_batch_without_labels_has_no_loss_and_no_gradient(
    scale: float, weights: str | None
) -> None:
    logits = (scale * torch.randn(2, 3, 8, 8)).requires_grad_()
    weighted = {"class_weights": weights}
    terms = dict.fromkeys(EVERY, 1.0) | {"cross_entropy": weighted, "focal": weighted}
    found = losses(logits, torch.full((2, 8, 8), IGNORE_INDEX), **terms)
    loss = weigh(found, dict.fromkeys(EVERY, 1.0))
    loss.backward()
    assert float(loss.detach()) == 0
    assert logits.grad is not None
    assert bool((logits.grad == 0).all())


@given(st.integers(0, 99), st.floats(0.1, 1e4), st.sampled_from([0.0, 0.5, 1.0, 2.0, 5.0]))
def test_gradients_are_finite_however_sure_the_answer(
    seed: int, scale: float, gamma: float
) -> None:
    labels = drawn_labels(seed, 3, 0.3)
    for logits in (drawn_logits(seed, 3, scale), perfect_logits(labels, 3)):
        logits = logits.requires_grad_()
        found = losses(logits, labels, **dict.fromkeys(EVERY, 1) | {"focal": {"gamma": gamma}})
        weigh(found, dict.fromkeys(EVERY, 1.0)).backward()
        assert logits.grad is not None
        assert bool(logits.grad.isfinite().all())


def test_gradients_of_half_precision_are_rounded_once_not_term_by_term() -> None:
    labels, logits = drawn_labels(0, 3, 0.3), drawn_logits(0, 3).bfloat16()
    found = []
    for exact in (logits.requires_grad_(), logits.detach().float().requires_grad_()):
        loss = weigh(losses(exact, labels), dict.fromkeys(EVERY, 1.0))
        found.append(torch.autograd.grad(loss, exact)[0])
    assert torch.equal(found[0], found[1].bfloat16())


@given(st.integers(0, 99), st.integers(2, 5), st.sampled_from([0.0, 0.5]))
def test_of_a_hard_answer_lovasz_and_dice_are_what_iou_and_f1_lack(
    seed: int, classes: int, ignored: float
) -> None:
    labels, found = drawn_labels(seed, classes, ignored), drawn_labels(seed + 100, classes, 0)
    known = labels != IGNORE_INDEX
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (labels[known].numpy(), found[known].numpy()), 1)
    present = counts.sum(axis=1) > 0
    scores = class_scores(counts)
    terms = losses(perfect_logits(found, classes), labels, lovasz=1, dice=1)
    assert float(terms["lovasz"]) == pytest.approx(1 - scores["iou"][present].mean(), abs=1e-5)
    assert float(terms["dice"]) == pytest.approx(1 - scores["f1"][present].mean(), abs=1e-5)


@given(st.integers(0, 99))
def test_tversky_of_equal_weights_is_dice_and_focal_of_gamma_0_is_cross_entropy(seed: int) -> None:
    labels, logits = drawn_labels(seed, 3, 0.3), drawn_logits(seed, 3)
    dice, even = one(logits, labels, "dice"), one(logits, labels, "tversky", alpha=0.5, beta=0.5)
    assert even == pytest.approx(dice, abs=1e-6)
    plain, flat = one(logits, labels, "cross_entropy"), one(logits, labels, "focal", gamma=0)
    assert flat == pytest.approx(plain, rel=1e-5)


def test_tversky_weighs_what_is_found_wrongly_by_alpha_and_what_is_missed_by_beta() -> None:
    """Of four pixels of class 1, two are taken for class 0."""
    labels, found = torch.tensor([[[0, 0, 0, 0, 1, 1, 1, 1]]]), torch.tensor([[[0] * 6 + [1] * 2]])
    loss = one(perfect_logits(found, 2), labels, "tversky", alpha=0.1, beta=0.9)
    assert loss == pytest.approx((1 - 4 / (4 + 0.1 * 2) + 1 - 2 / (2 + 0.9 * 2)) / 2, abs=1e-6)


def two_pixels(first: float, second: float) -> tuple[Tensor, Tensor]:
    """Return logits with these shares of the true class at pixels of class 0 and 1."""
    shares = torch.tensor([[[first, 1 - second]], [[1 - first, second]]])
    return shares.log()[None], torch.tensor([[[0, 1]]])


def test_focal_counts_a_pixel_by_what_it_lacks() -> None:
    expected = (0.5**2 * math.log(2) + 0.2**2 * -math.log(0.8)) / 2
    assert one(*two_pixels(0.5, 0.8), "focal", gamma=2) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", ["cross_entropy", "focal"])
def test_class_weights_count_pixels_by_their_true_class(name: str) -> None:
    """With weights 3 and 1, it is as if the first pixel were there three times."""
    logits, labels = two_pixels(0.5, 0.8)
    weighted = one(logits, labels, name, class_weights={"0": 3})
    thrice = one(logits[..., [0, 0, 0, 1]], labels[..., [0, 0, 0, 1]], name)
    assert weighted == pytest.approx(thrice, rel=1e-6)


def test_balanced_weights_let_each_class_count_the_same() -> None:
    """A class of 30 pixels and one of 10, as many as the labels of the whole training set."""
    labels = torch.tensor([0] * 30 + [1] * 10).view(1, 1, 40)
    logits = two_pixels(0.5, 0.8)[0][..., [0] * 30 + [1] * 10]
    weighted = one(logits, labels, "cross_entropy", counts=[30, 10], class_weights="balanced")
    assert weighted == pytest.approx((math.log(2) - math.log(0.8)) / 2, rel=1e-5)


def test_label_smoothing_is_least_where_the_answer_keeps_some_doubt() -> None:
    def loss(share: float) -> float:
        return one(*two_pixels(share, share), "cross_entropy", label_smoothing=0.2)

    assert loss(0.9) < loss(0.85)
    assert loss(0.9) < loss(0.95)


def test_boundary_weighs_a_wrong_pixel_by_its_distance_from_the_outline() -> None:
    labels = torch.zeros(1, 1, 12, dtype=torch.int64)
    labels[..., :4] = 1
    costs = []
    for at in range(4, 12):
        found = labels.clone()
        found[..., at] = 1
        costs.append(one(perfect_logits(found, 2), labels, "boundary", reach_px=4))
    assert costs == pytest.approx([min(d, 4) / 4 / 12 for d in range(1, 9)], abs=1e-6)


def test_boundary_knows_no_outline_where_only_unlabelled_ground_lies_between() -> None:
    """The distance is that to the nearest labelled pixel of the other side."""
    labels = torch.tensor([[[1, 255, 255, 0]]])
    for found, wrong in (([1, 0, 0, 1], 1), ([0, 0, 0, 0], 1), ([0, 1, 0, 1], 2)):
        cost = one(perfect_logits(torch.tensor([[found]]), 2), labels, "boundary", reach_px=4)
        assert cost == pytest.approx(wrong * 3 / 4 / 2, abs=1e-6)


def test_the_loss_of_a_chip_is_its_own_and_none_without_labels() -> None:
    labels, logits = drawn_labels(3, 3, 0.3), drawn_logits(3, 3)
    labels[1] = IGNORE_INDEX
    found = losses_of_chips(logits, labels)
    assert float(found[0]) == pytest.approx(one(logits[:1], labels[:1], "cross_entropy"), rel=1e-5)
    assert bool(found[1].isnan())


def test_a_term_of_weight_zero_is_not_computed_and_none_is_forgotten() -> None:
    labels, logits = drawn_labels(0, 2, 0), drawn_logits(0, 2)
    assert losses(logits, labels, dice=2, lovasz=0).keys() == {"dice"}
    terms = {"cross_entropy": torch.tensor(2.0), "dice": torch.tensor(3.0)}
    assert float(weigh(terms, {"cross_entropy": 0.5, "dice": 0.0})) == 1.0
    with pytest.raises(KeyError):
        weigh(terms, {"cross_entropy": 1.0})


@pytest.mark.parametrize("name", ["cross_entropy", "focal"])
def test_a_batch_of_classes_that_weigh_nothing_teaches_nothing(name: str) -> None:
    """Else label smoothing would be summed over pixels that count for nothing."""
    labels = torch.zeros(1, 16, 16, dtype=torch.int64)
    more = {"label_smoothing": 0.1} if name == "cross_entropy" else {}
    weighed = {"class_weights": {"0": 0, "1": 1}, **more}
    assert one(drawn_logits(0, 2)[:1, :, :1, :1].expand(1, 2, 16, 16), labels, name, **weighed) == 0
