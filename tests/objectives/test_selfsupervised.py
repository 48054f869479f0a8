"""Views of the same ground: when they agree, and where features are read."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from geohier.objectives.selfsupervised import disagreement, features_at, spread_of


@given(st.integers(0, 2**32 - 1), st.floats(0.1, 10))
def test_vectors_of_one_direction_agree_whatever_their_length(seed: int, length: float) -> None:
    vectors = torch.randn(5, 8, generator=torch.Generator().manual_seed(seed))
    assert float(disagreement(vectors, length * vectors)) == pytest.approx(0, abs=1e-5)
    assert float(disagreement(vectors, -vectors)) == pytest.approx(2, abs=1e-5)


def test_the_slow_side_is_not_pulled() -> None:
    quick, slow = torch.randn(4, 8, requires_grad=True), torch.randn(4, 8, requires_grad=True)
    disagreement(quick, slow).backward()
    assert quick.grad is not None
    assert slow.grad is None


def test_features_are_read_where_a_point_lies_on_every_level() -> None:
    rows = torch.arange(8.0).view(1, 1, 8, 1).expand(1, 1, 8, 8)
    levels = [rows, rows[:, :, ::2, ::2]]
    middles = torch.tensor([[[-0.875, -0.875], [0.875, 0.125]]])  # cells (0, 0) and (4, 7)
    found = features_at(levels, middles)
    assert found.shape == (1, 2, 2)
    assert found[0, :, 0].tolist() == pytest.approx([0, 4])
    assert found[0, :, 1].tolist() == pytest.approx([0, 3.5], abs=0.6)


def test_the_spread_tells_a_network_that_answers_all_alike() -> None:
    wide = torch.randn(512, 64, generator=torch.Generator().manual_seed(0))
    assert spread_of(wide) == pytest.approx(1, abs=0.05)
    assert spread_of(wide[:1].expand(512, -1)) == pytest.approx(0, abs=1e-5)
