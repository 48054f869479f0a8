"""What levels say of the classes."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from geohier.objectives.levels import consistency_loss, level_loss

STRIDES = (2, 4, 8)


def scene(seed: int, share: float = 0.8) -> tuple[torch.Tensor, torch.Tensor]:
    numbers = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 3, (2, 16, 24), generator=numbers)
    return labels, torch.rand(labels.shape, generator=numbers) < share


def shares(labels: torch.Tensor, labelled: torch.Tensor, stride: int) -> torch.Tensor:
    """Return the shares of the classes under each cell, counted one by one."""
    found = torch.full((2, 3, 16 // stride, 24 // stride), 1 / 3)
    for chip, row, col in torch.cartesian_prod(
        torch.arange(2), torch.arange(16 // stride), torch.arange(24 // stride)
    ).tolist():
        cell = (
            chip,
            slice(row * stride, (row + 1) * stride),
            slice(col * stride, (col + 1) * stride),
        )
        seen = labels[cell][labelled[cell]]
        if len(seen):
            found[chip, :, row, col] = seen.bincount(minlength=3) / len(seen)
    return found


@given(st.integers(0, 2**16), st.floats(0.05, 1))
def test_levels_that_tell_the_true_shares_cost_nothing(seed: int, share: float) -> None:
    labels, labelled = scene(seed, share)
    exact = [(shares(labels, labelled, stride) + 1e-9).log() for stride in STRIDES]
    assert abs(float(level_loss(exact, labels, labelled, STRIDES))) < 1e-5
    wrong = [one.roll(1, dims=1) for one in exact]
    assert float(level_loss(wrong, labels, labelled, STRIDES)) > 0.1


def test_unlabelled_pixels_tell_nothing() -> None:
    labels, labelled = scene(0)
    logits = [torch.randn(2, 3, 16 // stride, 24 // stride) for stride in STRIDES]
    before = level_loss(logits, labels, labelled, STRIDES)
    other = torch.where(labelled, labels, (labels + 1) % 3)
    torch.testing.assert_close(level_loss(logits, other, labelled, STRIDES), before)


def test_every_level_learns_and_nothing_labelled_costs_nothing() -> None:
    labels, labelled = scene(0)
    logits = [
        torch.randn(2, 3, 16 // stride, 24 // stride, requires_grad=True) for stride in STRIDES
    ]
    level_loss(logits, labels, labelled, STRIDES).backward()
    assert all(one.grad is not None and one.grad.any() for one in logits)
    nothing = level_loss(logits, labels, torch.zeros_like(labelled), STRIDES)
    assert float(nothing.detach()) == 0


def test_a_level_that_is_the_mean_of_the_finer_one_agrees_with_it() -> None:
    fine = 4 * torch.randn(2, 3, 16, 24)
    middle = functional.avg_pool2d(fine.softmax(1), 4).log()
    coarse = functional.avg_pool2d(middle.softmax(1), 2).log()
    assert abs(float(consistency_loss([fine, middle, coarse]))) < 1e-6
    assert float(consistency_loss([fine, middle, 4 * coarse])) > 0.01


def test_the_finer_level_is_taken_for_right() -> None:
    fine = torch.randn(2, 3, 8, 12, requires_grad=True)
    coarse = torch.randn(2, 3, 4, 6, requires_grad=True)
    consistency_loss([fine, coarse]).backward()
    assert fine.grad is None
    assert coarse.grad is not None
    assert coarse.grad.any()
