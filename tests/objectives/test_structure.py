"""Where classes meet, and how far off that is."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import distance_transform_edt

from geohier.objectives.structure import (
    distance_loss,
    edge_loss,
    edges_of,
    own_distance,
)


def scene(seed: int, unlabelled: float = 0.2) -> tuple[torch.Tensor, torch.Tensor]:
    numbers = torch.Generator().manual_seed(seed)
    blocks = torch.randint(0, 3, (2, 4, 5), generator=numbers)
    labels = blocks.repeat_interleave(6, 1).repeat_interleave(6, 2)
    return labels, torch.rand(labels.shape, generator=numbers) >= unlabelled


@given(st.integers(0, 2**16), st.integers(1, 4))
def test_an_edge_is_a_labelled_pixel_with_another_label_near(seed: int, width: int) -> None:
    labels, labelled = scene(seed)
    found = edges_of(labels, labelled, width)
    known = torch.where(labelled, labels, -1).numpy()
    for chip, row, col in np.argwhere(known >= -1)[::7]:
        near = known[
            chip, max(row - width, 0) : row + width + 1, max(col - width, 0) : col + width + 1
        ]
        other = bool(((near >= 0) & (near != known[chip, row, col])).any())
        assert found[chip, row, col] == (known[chip, row, col] >= 0 and other)


@given(st.integers(0, 2**16))
def test_a_perfect_answer_costs_nothing(seed: int) -> None:
    labels, labelled = scene(seed)
    sure = 200 * (edges_of(labels, labelled, 2).float() - 0.5)
    assert float(edge_loss(sure[:, None], labels, labelled, 2)) < 1e-6
    distance = own_distance(labels, labelled, 16)
    assert float(distance_loss(distance[:, None], labels, labelled, 16)) == 0


def test_edges_weigh_as_much_as_the_rest_however_few_they_are() -> None:
    labels = torch.zeros(1, 40, 40, dtype=torch.int64)
    labels[..., 20:] = 1
    labelled = torch.ones_like(labels, dtype=torch.bool)
    edges = edges_of(labels, labelled, 1)
    assert int(edges.sum()) == 80
    only_edges_wrong = torch.full((1, 1, 40, 40), -5.0)
    only_rest_wrong = torch.full((1, 1, 40, 40), 5.0)
    one, other = (
        float(edge_loss(answer, labels, labelled, 1))
        for answer in (only_edges_wrong, only_rest_wrong)
    )
    assert abs(one - other) < 1e-5


def test_distance_is_that_of_the_nearest_other_label() -> None:
    labels, labelled = scene(3, unlabelled=0)
    found = own_distance(labels, labelled, 8)
    for chip in range(2):
        for index in range(3):
            inside = (labels[chip] == index).numpy()
            far = np.minimum(distance_transform_edt(inside) / 8, 1)
            np.testing.assert_allclose(found[chip].numpy()[inside], far[inside], rtol=1e-6)


def test_nothing_labelled_costs_nothing_and_pulls_nowhere() -> None:
    labels = torch.zeros(1, 8, 8, dtype=torch.int64)
    nothing = torch.zeros_like(labels, dtype=torch.bool)
    answer = torch.randn(1, 1, 8, 8, requires_grad=True)
    loss = edge_loss(answer, labels, nothing, 2) + distance_loss(answer, labels, nothing, 4)
    loss.backward()
    assert float(loss.detach()) == 0
    assert answer.grad is not None
    assert not answer.grad.any()
