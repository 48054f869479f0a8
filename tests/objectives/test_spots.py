"""Losses of middles as spots."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from geohier.config.detection import DetectionConfig
from geohier.data.labels import IGNORE_INDEX
from geohier.objectives.spots import SpotLoss, spots_of

LOSSES = pytest.mark.parametrize("name", ["focal", "cross_entropy"])


def middles(*places: tuple[int, int, int], side: int = 24) -> torch.Tensor:
    labels = torch.zeros(1, side, side, dtype=torch.int64)
    for row, column, of_class in places:
        labels[0, row, column] = of_class
    return labels


@given(st.floats(0.5, 3), st.integers(0, 23), st.integers(0, 23))
def test_a_spot_is_1_in_its_midst_and_falls_as_a_normal_curve(
    spread: float, row: int, column: int
) -> None:
    spots = spots_of(middles((row, column, 2)), 3, 0, spread)
    rows, columns = torch.meshgrid(torch.arange(24), torch.arange(24), indexing="ij")
    squared = ((rows - row) ** 2 + (columns - column) ** 2).float()
    expected = torch.exp(-squared / (2 * spread**2))
    near = (rows - row).abs().maximum((columns - column).abs()) <= int(3 * spread)
    torch.testing.assert_close(spots[0, 2], expected * near, atol=1e-5, rtol=0)
    assert not spots[0, :2].any()


def test_of_spots_that_overlap_the_higher_one_counts() -> None:
    both = spots_of(middles((8, 8, 1), (8, 11, 1)), 2, 0, 1.5)
    each = [spots_of(middles((8, column, 1)), 2, 0, 1.5) for column in (8, 11)]
    torch.testing.assert_close(both, torch.maximum(*each))


@LOSSES
def test_nothing_is_better_than_the_truth_and_what_is_unlabelled_does_not_count(name: str) -> None:
    loss = SpotLoss(DetectionConfig(loss=name), 0)
    labels = middles((8, 8, 1), (15, 4, 2))
    right = spots_of(labels, 3, 0, 1.5).clamp(1e-4, 1 - 1e-4)
    right[:, 0] = (1 - right[:, 1:].sum(1)).clamp(min=1e-4)
    moved = right.roll(3, -1)
    [best], [worse] = (loss.terms(p.log(), labels).values() for p in (right, moved))
    assert float(best) < 0.5 * float(worse)
    hidden = labels.clone()
    hidden[:, :, 12:] = IGNORE_INDEX
    other = right.log().clone()
    other[:, :, :, 12:] = torch.randn(1, 3, 24, 12)
    [first], [second] = (loss.terms(p, hidden).values() for p in (right.log(), other))
    torch.testing.assert_close(first, second)


@LOSSES
def test_gradients_pull_up_the_midst_and_push_down_the_ground(name: str) -> None:
    logits = torch.zeros(1, 3, 24, 24, requires_grad=True)
    [term] = SpotLoss(DetectionConfig(loss=name), 0).terms(logits, middles((8, 8, 1))).values()
    term.backward()
    pull = logits.grad
    assert pull is not None
    assert pull[0, 1, 8, 8] < 0 < pull[0, 1, 20, 20]
    assert pull[0, 2, 8, 8] > 0
    assert bool(pull.isfinite().all())


@LOSSES
def test_a_chip_without_objects_is_one_of_ground_alone(name: str) -> None:
    loss = SpotLoss(DetectionConfig(loss=name), 1)
    labels = torch.ones(1, 24, 24, dtype=torch.int64)
    logits = torch.zeros(1, 2, 24, 24)
    logits[:, 1] = 20
    [term] = loss.terms(logits, labels).values()
    assert float(term) == pytest.approx(0, abs=1e-6)
    nothing = loss.terms(torch.randn(1, 2, 24, 24), torch.full_like(labels, IGNORE_INDEX))
    assert [float(one) for one in nothing.values()] == [0]


def test_the_weight_of_a_spot_is_one_of_cross_entropy() -> None:
    labels, logits = middles((8, 8, 1)), torch.zeros(1, 2, 24, 24)
    terms = [
        SpotLoss(DetectionConfig(loss="cross_entropy", weight=weight), 0).terms(logits, labels)
        for weight in (1.0, 50.0)
    ]
    steeper = logits.clone()
    steeper[:, 1] -= 3
    wrong = [
        SpotLoss(DetectionConfig(loss="cross_entropy", weight=weight), 0).terms(steeper, labels)
        for weight in (1.0, 50.0)
    ]
    gains = [
        float(w["cross_entropy"] - t["cross_entropy"]) for w, t in zip(wrong, terms, strict=True)
    ]
    assert gains[1] > gains[0]
    with pytest.raises(ValueError, match="weight is of loss cross_entropy"):
        DetectionConfig(weight=3)
