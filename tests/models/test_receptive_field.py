import pytest
import torch
from torch import Tensor, nn

from geohier.config.model import ModelConfig
from geohier.errors import ModelError
from geohier.models.receptive_field import measure_receptive_field
from geohier.models.segmentation import build_segmenter

SMALL = {"stride": 4, "largest_px": 256}


class Squeeze(nn.Module):
    """A 3 x 3 convolution whose channels are weighed by their mean over the tile."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.gate = nn.Conv2d(2, 2, 3, padding=1), nn.Conv2d(2, 2, 1)

    def forward(self, image: Tensor) -> Tensor:
        found = self.body(image)
        return found * self.gate(found.mean((2, 3), keepdim=True)).sigmoid()


def box_filter(radius: int, inner: float = 1.0) -> nn.Conv2d:
    """One class scores the mean of a square, the other nothing; the centre counts `inner`."""
    side = 2 * radius + 1
    layer = nn.Conv2d(1, 2, side, padding=radius, bias=False)
    nn.init.zeros_(layer.weight)
    with torch.no_grad():
        layer.weight[1] = 1 / side**2
        layer.weight[1, 0, radius, radius] *= inner
    return layer


@pytest.mark.parametrize("radius", [0, 3, 10, 24])
def test_margins_of_a_box_filter_are_those_of_its_square(radius: int) -> None:
    """All pixels of the square weigh the same, so a share of p lies within a side of sqrt(p)."""
    side = 2 * radius + 1
    found = measure_receptive_field(box_filter(radius), 1, **SMALL)
    for share, margin in found.margins_px.items():
        assert (2 * margin + 1) ** 2 >= share / 100 * side**2 - 1e-6
        assert margin == 0 or (2 * margin - 1) ** 2 < share / 100 * side**2
    assert not found.tile_dependent


def test_a_strong_centre_draws_the_margins_in() -> None:
    found = measure_receptive_field(box_filter(10, inner=441 * 13.0), 1, **SMALL)
    assert found.margins_px[90] == 0
    assert found.margins_px[99] > 5


def test_a_stack_of_convolutions_reaches_as_far_as_all_of_them_together() -> None:
    torch.manual_seed(0)
    layers = [box_filter(2), nn.Conv2d(2, 1, 1, bias=False), box_filter(3)]
    nn.init.constant_(layers[1].weight, 1.0)
    found = measure_receptive_field(nn.Sequential(*layers), 1, **SMALL)
    assert 4 <= found.margins_px[99] <= 5  # of 2 + 3
    assert not found.tile_dependent


def test_a_model_that_pools_over_the_tile_is_marked() -> None:
    torch.manual_seed(0)
    assert measure_receptive_field(Squeeze(), 2, **SMALL).tile_dependent


def test_pooling_is_found_though_its_gradient_is_thin() -> None:
    """Per pixel the gradient through a mean over the tile is nearly nothing."""
    torch.manual_seed(0)
    network = Squeeze()
    with torch.no_grad():
        network.gate.weight.mul_(0.01)
    found = measure_receptive_field(network, 2, **SMALL)
    assert found.margins_px[95] <= 2
    assert found.tile_dependent


def test_group_normalisation_depends_on_the_tile_and_fixed_statistics_do_not() -> None:
    torch.manual_seed(0)
    body = [nn.Conv2d(1, 4, 3, padding=1), nn.GroupNorm(2, 4), nn.Conv2d(4, 2, 3, padding=1)]
    assert measure_receptive_field(nn.Sequential(*body), 1, **SMALL).tile_dependent
    body[1] = nn.BatchNorm2d(4)
    assert not measure_receptive_field(nn.Sequential(*body), 1, **SMALL).tile_dependent


def test_the_answer_is_that_of_prediction_and_the_network_stays_as_it_was() -> None:
    """In training mode batch normalisation pools over the tile, and dropout is random."""
    torch.manual_seed(0)
    body = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Dropout2d(0.5))
    network = nn.Sequential(body, nn.Conv2d(4, 2, 3, padding=1)).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    one, other = (measure_receptive_field(network, 1, **SMALL) for _ in range(2))
    assert one == other
    assert not one.tile_dependent
    assert network.training
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())


def test_real_chips_of_any_size_take_part() -> None:
    """The network looks far only where the image is bright, which random images never are."""

    class FarWhereBright(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.near, self.far = box_filter(0), box_filter(20)

        def forward(self, image: Tensor) -> Tensor:
            return self.near(image) + (self.far(image) - 50).relu()

    network = FarWhereBright()
    without = measure_receptive_field(network, 1, **SMALL)
    chips = [torch.full((1, 30, 41), 100.0)] * 4
    found = measure_receptive_field(network, 1, chips=chips, **SMALL)
    assert without.margins_px[99] == 0
    assert found.margins_px[99] > 15


def test_a_model_that_ignores_its_image_is_refused() -> None:
    network = nn.Conv2d(1, 2, 1)
    nn.init.zeros_(network.weight)
    with pytest.raises(ModelError, match="does not depend"):
        measure_receptive_field(network, 1, **SMALL)


@pytest.mark.slow
def test_the_pyramid_is_local_and_its_group_normalised_original_is_not() -> None:
    import segmentation_models_pytorch as smp

    torch.manual_seed(0)
    ours = build_segmenter(ModelConfig(encoder="test_resnet"), 3, 2)
    theirs = smp.FPN("tu-test_resnet", encoder_weights=None, classes=2)
    assert not measure_receptive_field(ours, 3, stride=32).tile_dependent
    assert measure_receptive_field(theirs, 3, stride=32).tile_dependent
