"""CKA and effective rank, where their values are known."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from geohier.models.similarity_of_levels import Moments, effective_rank, linear_cka

seeds = st.integers(0, 2**31)


def drawn(seed: int, *shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def cka(first: Tensor, second: Tensor) -> float:
    moments = Moments(first.shape[1], second.shape[1])
    moments.add(first[:7], second[:7])  # batches add up
    moments.add(first[7:], second[7:])
    return linear_cka(moments)


@given(seeds, st.floats(0.1, 10), st.floats(-100, 100))
def test_turned_scaled_and_shifted_features_are_the_same(
    seed: int, scale: float, shift: float
) -> None:
    features = drawn(seed, 40, 5)
    turn, _ = torch.linalg.qr(drawn(seed + 1, 5, 5))
    assert cka(features, features @ turn * scale + shift) == pytest.approx(1)


@given(seeds)
def test_it_is_symmetric_and_as_kornblith_et_al_have_it(seed: int) -> None:
    first, second = drawn(seed, 30, 4), drawn(seed + 1, 30, 6)
    x, y = first - first.mean(0), second - second.mean(0)
    direct = (y.T @ x).norm() ** 2 / ((x.T @ x).norm() * (y.T @ y).norm())
    assert cka(first, second) == pytest.approx(float(direct))
    assert cka(second, first) == pytest.approx(float(direct))


def test_features_that_share_nothing_have_none_in_common() -> None:
    cells = torch.eye(8, dtype=torch.float64) - 1 / 8
    basis = torch.linalg.svd(cells)[0][:, :6]  # of mean 0, and at right angles
    assert cka(basis[:, :3], basis[:, 3:]) == pytest.approx(0, abs=1e-12)
    assert math.isnan(cka(basis, torch.ones(8, 2, dtype=torch.float64)))


@given(seeds, st.integers(1, 6))
def test_as_many_equal_directions_as_there_are_fill_as_many_dimensions(
    seed: int, rank: int
) -> None:
    basis, _ = torch.linalg.qr(drawn(seed, 6, 6))
    gram = basis[:, :rank] @ basis[:, :rank].T
    assert effective_rank(5 * gram) == pytest.approx(rank, rel=1e-5)


def test_the_rank_of_known_singular_values() -> None:
    values = torch.tensor([3.0, 1.0], dtype=torch.float64)
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert effective_rank(torch.diag(values**2)) == pytest.approx(math.exp(entropy))
    assert effective_rank(torch.zeros(3, 3, dtype=torch.float64)) == 0
