"""What the coarsest level sees of its surroundings."""

import pytest
import torch

from geohier.layers.context import AtrousPooling, PyramidPooling


def reach(part: torch.nn.Module, side: int = 65) -> int:
    """Return how far from the centre a cell tells on it, in cells."""
    level = torch.randn(1, 32, side, side, requires_grad=True)
    part.eval()(level)[0, :, side // 2, side // 2].sum().backward()
    assert level.grad is not None
    rows, cols = level.grad[0].abs().sum(0).nonzero(as_tuple=True)
    return int(max((rows - side // 2).abs().max(), (cols - side // 2).abs().max()))


@pytest.mark.parametrize("rates", [(1,), (2, 4), (3, 6, 12)])
@pytest.mark.parametrize("separable", [False, True])
def test_atrous_convolutions_look_as_far_as_their_largest_rate(
    rates: tuple[int, ...], separable: bool
) -> None:
    torch.manual_seed(0)
    assert reach(AtrousPooling(32, rates, "batch", separable=separable)) == max(rates)


def test_pooling_sees_the_whole_tile() -> None:
    torch.manual_seed(0)
    assert reach(PyramidPooling(32, "batch", separable=False)) == 32


@pytest.mark.parametrize(
    "part",
    [
        AtrousPooling(32, (2, 4), "layer", separable=True),
        PyramidPooling(32, "batch", separable=True),
    ],
)
def test_a_level_keeps_its_shape_and_every_weight_learns(part: torch.nn.Module) -> None:
    level = torch.randn(2, 32, 12, 18)
    mixed = part(level)
    assert mixed.shape == level.shape
    mixed.square().sum().backward()
    assert all(one.grad is not None and one.grad.any() for one in part.parameters())


def test_pooling_takes_a_tile_of_a_single_cell() -> None:
    part = PyramidPooling(32, "batch", separable=False)
    assert part(torch.randn(2, 32, 1, 1)).shape == (2, 32, 1, 1)
