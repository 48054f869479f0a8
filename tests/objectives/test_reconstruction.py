"""Rebuilding what was masked: what counts, and against what it is held."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from geohier.objectives.reconstruction import LevelErrors, masked_error, targets_of

STRIDES = (2, 4, 8)
SPREAD = torch.full((3, 2), 0.5)


def case(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return an image, its validity and a mask, all with holes."""
    draw = torch.Generator().manual_seed(seed)
    image = torch.randn(2, 2, 16, 16, generator=draw)
    valid = torch.rand(2, 1, 16, 16, generator=draw) < 0.7
    masked = (torch.rand(2, 2, 2, 2, generator=draw) < 0.6).repeat_interleave(8, 2)
    return image, valid, masked.repeat_interleave(8, 3)


@given(st.integers(0, 2**32 - 1))
def test_a_perfect_answer_costs_nothing_and_any_other_something(seed: int) -> None:
    targets, counts = targets_of(*case(seed), STRIDES)
    assert masked_error(targets, targets, counts, SPREAD) == 0
    for level, count in enumerate(counts):
        wrong = list(targets)
        wrong[level] = targets[level] + count  # only where something counts
        assert (masked_error(wrong, targets, counts, SPREAD) > 0) == bool(count.any())


@given(st.integers(0, 2**32 - 1))
def test_only_masked_valid_pixels_count(seed: int) -> None:
    image, valid, masked = case(seed)
    targets, counts = targets_of(image, valid, masked, STRIDES)
    answer = [target + 1 for target in targets]
    elsewhere = [
        torch.where(count > 0, one, 99.0) for one, count in zip(answer, counts, strict=True)
    ]
    unseen = targets_of(torch.where(valid, image, 99.0), valid, masked, STRIDES)
    cost = masked_error(answer, targets, counts, SPREAD)
    assert masked_error(elsewhere, targets, counts, SPREAD) == cost
    assert masked_error(answer, *unseen, SPREAD) == cost


@pytest.mark.parametrize("missing", ["valid", "masked"])
def test_a_chip_without_any_pixel_that_counts_is_finite(missing: str) -> None:
    image, valid, masked = case(0)
    if missing == "valid":
        valid = torch.zeros_like(valid)
    else:
        masked = torch.zeros_like(masked)
    targets, counts = targets_of(image, valid, masked, STRIDES)
    answer = [target.clone().requires_grad_() for target in targets]
    cost = masked_error([one + 1 for one in answer], targets, counts, SPREAD)
    cost.backward()
    assert cost == 0
    assert all(one.grad is not None and bool(one.grad.isfinite().all()) for one in answer)
    errors = LevelErrors(torch.ones(2), levels=3)
    errors.add(targets, targets, counts)
    assert all(math.isnan(value) for value in errors.psnr())


def test_levels_count_alike_however_little_they_vary() -> None:
    targets, counts = targets_of(*case(1), STRIDES)
    spread = torch.tensor([[1.0, 1.0], [4.0, 4.0], [16.0, 16.0]])
    costs = []
    for level in range(3):
        wrong = list(targets)
        wrong[level] = targets[level] + spread[level, 0] ** 0.5
        costs.append(float(masked_error(wrong, targets, counts, spread)))
    assert costs == pytest.approx([1 / 3, 1 / 3, 1 / 3])


@given(st.integers(0, 2**32 - 1))
def test_no_constant_beats_the_mean_predictor(seed: int) -> None:
    targets, counts = targets_of(*case(seed), STRIDES)
    if not all(bool(count.any()) for count in counts):
        return
    errors = LevelErrors(torch.tensor([2.0, 3.0]), levels=3)
    constants = [torch.randn(1, 2, 1, 1).expand_as(target) for target in targets]
    errors.add(constants, targets, counts)
    for own, mean in zip(errors.psnr(), errors.psnr_of_mean(), strict=True):
        assert own <= mean + 1e-6


def test_psnr_is_in_decibels_of_full_scale() -> None:
    ones = [torch.ones(1, 1, 4, 4)]
    errors = LevelErrors(torch.tensor([10.0]), levels=1)
    errors.add([torch.zeros(1, 1, 4, 4)], ones, ones)
    assert errors.psnr() == pytest.approx([20.0])
