"""How far levels look, of a network of which it is known."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from geohier.models.level_fields import measure_level_fields


class Means(nn.Module):
    """An encoder whose levels are means: of 2 x 2 px, and of 12 x 12 px every 4 px."""

    def forward(self, image: Tensor) -> list[Tensor]:
        wide = functional.avg_pool2d(image, 12, stride=4, padding=4, count_include_pad=False)
        return [image, functional.avg_pool2d(image, 2), wide]


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = Means()


def test_a_level_looks_as_far_as_its_cells_are_made_of() -> None:
    fine, coarse = measure_level_fields(Network(), bands=2, strides=(2, 4))
    assert fine.margins_px[99] == 1
    assert 6 <= coarse.margins_px[99] <= 8  # a pixel lies anywhere in the middle 4 of 12
    assert all(a <= b for a, b in pairwise(coarse.margins_px.values()))
    assert not fine.tile_dependent
    assert not coarse.tile_dependent
    assert torch.is_grad_enabled()
