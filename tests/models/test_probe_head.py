"""Heads over features: what each answers, pixel by pixel."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from geohier.models.probe_head import (
    Distance,
    LinearHead,
    NeighboursHead,
    PrototypeHead,
    as_compared,
)


def draw(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def as_raster(rows: Tensor) -> Tensor:
    """Return features `(N, C)` as a raster of one row, `(1, C, 1, N)`."""
    return rows.T[None, :, None, :].float()


def answers(head: torch.nn.Module, rows: Tensor) -> Tensor:
    """Return the scores `(N, K)` of features `(N, C)`."""
    return head(as_raster(rows))[0, :, 0].T.double()


sizes = {"seed": st.integers(0, 2**32 - 1), "channels": st.integers(1, 9)}


@given(**sizes)
def test_a_linear_head_is_a_matrix_and_a_bias(seed: int, channels: int) -> None:
    rows, weight, bias = draw(seed, 20, channels), draw(seed + 1, 4, channels), draw(seed + 2, 4)
    found = answers(LinearHead(weight, bias), rows)
    torch.testing.assert_close(found, rows @ weight.T + bias, atol=1e-4, rtol=1e-4)


@given(**sizes)
def test_the_nearest_prototype_wins(seed: int, channels: int) -> None:
    rows, prototypes = draw(seed, 50, channels), draw(seed + 1, 4, channels)
    apart = torch.cdist(rows, prototypes)
    clear = apart.topk(2, largest=False).values.diff().squeeze(1) > 1e-3
    found = answers(PrototypeHead(prototypes, "euclidean", 2.0), rows).argmax(1)
    assert torch.equal(found[clear], apart.argmin(1)[clear])


def test_scores_of_prototypes_are_logarithms_of_gaussians() -> None:
    prototypes = torch.tensor([[0.0, 0.0], [2.0, 0.0]])
    head = PrototypeHead(prototypes, "euclidean", variance=4.0)
    scores = answers(head, torch.tensor([[0.5, 1.0]])).softmax(1)
    far = np.exp([-(0.5**2 + 1) / 8, -(1.5**2 + 1) / 8])
    np.testing.assert_allclose(scores[0], far / far.sum(), rtol=1e-5)


@pytest.mark.parametrize("head", ["prototype", "neighbours"])
@given(seed=st.integers(0, 2**32 - 1), factor=st.floats(0.1, 10))
def test_to_cosines_only_directions_count(head: str, seed: int, factor: float) -> None:
    rows, others = draw(seed, 30, 4), draw(seed + 1, 3, 4)
    made = (
        PrototypeHead(others, "cosine")
        if head == "prototype"
        else NeighboursHead(others, torch.arange(3), count=3, k=1, distance="cosine")
    )
    cosines = as_compared(rows, "cosine") @ as_compared(others, "cosine").T
    clear = cosines.topk(2).values.diff().squeeze(1).abs() > 1e-3
    assert torch.equal(answers(made, rows * factor).argmax(1)[clear], cosines.argmax(1)[clear])


@pytest.mark.parametrize("distance", ["euclidean", "cosine"])
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(2, 300), channels=st.integers(2, 20))
def test_the_nearest_example_of_an_example_is_itself(
    distance: Distance, seed: int, count: int, channels: int
) -> None:
    rows = draw(seed, count, channels)
    classes = torch.arange(count) % 3
    compared = as_compared(rows, distance)
    apart = torch.cdist(compared, compared) + 9 * torch.eye(count)
    clear = apart.min(1).values > 1e-2
    head = NeighboursHead(rows, classes, count=3, k=1, distance=distance)
    assert torch.equal(answers(head, rows).argmax(1)[clear], classes[clear])


def test_a_share_is_the_share_of_the_votes_and_nearer_ones_win_where_votes_tie() -> None:
    examples = torch.tensor([[0.0], [1.0], [2.0], [3.0]])
    classes = torch.tensor([1, 0, 0, 2])
    head = NeighboursHead(examples, classes, count=3, k=3, distance="euclidean")
    torch.testing.assert_close(
        answers(head, torch.tensor([[0.1]])).exp()[0],
        torch.tensor([2 / 3, 1 / 3, 0], dtype=torch.float64),
        atol=1e-3,
        rtol=0,
    )
    even = NeighboursHead(examples, classes, count=3, k=2, distance="euclidean")
    assert answers(even, torch.tensor([[0.1], [0.9]])).argmax(1).tolist() == [1, 0]


def test_of_many_pixels_the_answers_are_those_of_each_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows, examples = draw(0, 500, 3), draw(1, 40, 3)
    head = NeighboursHead(examples, torch.arange(40) % 4, count=4, k=5, distance="euclidean")
    at_once = answers(head, rows)
    monkeypatch.setattr("geohier.models.probe_head.MOST_DISTANCES", 80)
    torch.testing.assert_close(answers(head, rows), at_once)
    raster = head(as_raster(rows).view(1, 3, 20, 25))
    torch.testing.assert_close(raster[0, :, 3, 7].double(), at_once[3 * 25 + 7])
