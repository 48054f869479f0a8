"""FLOPs and weights, against counts by hand."""

import pytest
from torch import Tensor, nn

from geohier.config.model import ModelConfig
from geohier.models.cost import measure_cost
from geohier.models.segmentation import Downsampled, build_segmenter

SIDE = 32


class Tiny(nn.Module):
    """Three bands to 4 channels at half the resolution, twice through 4 channels there, back up."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Conv2d(3, 4, 3, stride=2, padding=1, bias=False)
        self.middle = nn.ModuleList([nn.Sequential(nn.Conv2d(4, 4, 1)), nn.Conv2d(4, 4, 1)])
        self.norm = nn.BatchNorm2d(4)
        self.head = nn.ConvTranspose2d(4, 2, 2, stride=2)

    def forward(self, image: Tensor) -> Tensor:
        level: Tensor = self.norm(self.encoder(image))
        for one in self.middle:
            level = one(level)
        scores: Tensor = self.head(level)
        return scores


PARTS = {"encoder": ("encoder",), "rest": ("middle", "norm", "head"), "middle": ("middle",)}


def test_flops_and_weights_are_those_counted_by_hand() -> None:
    found = measure_cost(Tiny(), 3, SIDE, PARTS)
    encoder = 2 * (3 * 3 * 3 * 4) / 4  # a multiplication and an addition, at a quarter of the cells
    middle = 2 * 2 * (4 * 4) / 4
    head = 2 * (4 * 2)  # each pixel of the answer is made of one cell
    assert found["encoder"].flops_per_px == encoder
    assert found["middle"].flops_per_px == middle
    assert found["rest"].flops_per_px == middle + head
    assert found["all"].flops_per_px == encoder + middle + head
    assert found["middle"].parameters == 2 * (4 * 4 + 4)
    assert found["encoder"].parameters == 3 * 3 * 3 * 4
    assert found["all"].parameters == 108 + 40 + 2 * 4 + (4 * 2 * 4 + 2)


def test_a_pixel_is_one_of_the_image_however_coarse_the_network_s_are() -> None:
    plain, coarse = (
        measure_cost(one, 3, SIDE)["all"] for one in (Tiny(), Downsampled(Tiny(), factor=2))
    )
    assert coarse.flops_per_px == plain.flops_per_px / 4
    assert coarse.parameters == plain.parameters


@pytest.mark.parametrize("decoder", ["fpn", "unet"])
def test_the_cost_of_a_pixel_does_not_depend_on_the_size_of_the_image(decoder: str) -> None:
    config = ModelConfig(encoder="test_resnet", decoder=decoder, pyramid_channels=16)
    network = build_segmenter(config, 3, 2)
    small, large = (measure_cost(network, 3, side)["all"] for side in (64, 128))
    assert small == large
    assert network.training
    assert small.parameters == sum(one.numel() for one in network.parameters())
