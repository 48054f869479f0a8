import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from geohier.data.labels import IGNORE_INDEX
from geohier.objectives.segmentation import segmentation_terms, weigh


def drawn_labels(seed: int, classes: int, ignored: float) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (2, 8, 8), generator=generator)
    return labels.masked_fill(torch.rand(labels.shape, generator=generator) < ignored, IGNORE_INDEX)


def perfect_logits(labels: Tensor, classes: int) -> Tensor:
    known = labels.masked_fill(labels == IGNORE_INDEX, 0)
    return 50.0 * torch.nn.functional.one_hot(known, classes).movedim(-1, 1)


@given(st.integers(0, 99), st.integers(2, 6), st.sampled_from([0.0, 0.5, 1.0]))
def test_every_loss_is_zero_on_a_perfect_answer(seed: int, classes: int, ignored: float) -> None:
    labels = drawn_labels(seed, classes, ignored)
    for term in segmentation_terms(perfect_logits(labels, classes), labels).values():
        assert float(term) == pytest.approx(0, abs=1e-6)


@given(st.integers(0, 99), st.integers(2, 6), st.sampled_from([0.0, 0.5]))
def test_every_loss_is_large_on_a_wrong_answer(seed: int, classes: int, ignored: float) -> None:
    labels = drawn_labels(seed, classes, ignored)
    wrong = (labels + 1) % classes
    for term in segmentation_terms(perfect_logits(wrong, classes), labels).values():
        assert float(term) > 0.9


@given(st.integers(0, 99), st.sampled_from([torch.float32, torch.bfloat16, torch.float16]))
def test_what_stands_at_unlabelled_pixels_changes_nothing(seed: int, dtype: torch.dtype) -> None:
    labels = drawn_labels(seed, 3, 0.5)
    logits = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(seed)).to(dtype)
    changed = torch.where((labels == IGNORE_INDEX).unsqueeze(1), 9 - logits, logits)
    one, other = segmentation_terms(logits, labels), segmentation_terms(changed, labels)
    for name in one:
        assert float(one[name]) == pytest.approx(float(other[name]), rel=1e-5)


@pytest.mark.parametrize("scale", [0.0, 1.0, 1e4])
def test_a_batch_without_labels_has_no_loss_and_no_gradient(scale: float) -> None:
    logits = (scale * torch.randn(2, 3, 8, 8)).requires_grad_()
    terms = segmentation_terms(logits, torch.full((2, 8, 8), IGNORE_INDEX))
    loss = weigh(terms, {"cross_entropy": 1.0, "dice": 1.0})
    loss.backward()
    assert float(loss.detach()) == 0
    assert logits.grad is not None
    assert bool((logits.grad == 0).all())


@given(st.integers(0, 99), st.floats(0.1, 1e4))
def test_gradients_are_finite_however_sure_the_answer(seed: int, scale: float) -> None:
    labels = drawn_labels(seed, 3, 0.3)
    generator = torch.Generator().manual_seed(seed)
    logits = (scale * torch.randn(2, 3, 8, 8, generator=generator)).requires_grad_()
    weigh(segmentation_terms(logits, labels), {"cross_entropy": 1.0, "dice": 1.0}).backward()
    assert logits.grad is not None
    assert bool(logits.grad.isfinite().all())


def test_a_term_of_weight_zero_does_not_count_and_none_is_forgotten() -> None:
    terms = {"cross_entropy": torch.tensor(2.0), "dice": torch.tensor(3.0)}
    assert float(weigh(terms, {"cross_entropy": 0.5, "dice": 0.0})) == 1.0
    with pytest.raises(KeyError):
        weigh(terms, {"cross_entropy": 1.0})
