"""Parts of networks: each weight and each operation belongs to one of them."""

import pytest

from geohier.config.model import ModelConfig
from geohier.models.cost import measure_cost
from geohier.models.parts import parts_of
from geohier.models.segmentation import at_image_resolution, build_segmenter


@pytest.mark.parametrize("downsample", [1, 2])
@pytest.mark.parametrize(
    ("decoder", "names"),
    [
        ("fpn", ["encoder", "pyramid", "merge", "head"]),
        ("unet", ["encoder", "merge", "head"]),
        ("hierarchy", ["encoder", "pyramid", "merge", "head"]),
    ],
)
def test_the_parts_make_up_the_whole(decoder: str, names: list[str], downsample: int) -> None:
    config = ModelConfig(encoder="test_resnet", decoder=decoder, downsample=downsample)
    network = at_image_resolution(build_segmenter(config, 3, 2), config)
    parts = parts_of(network)
    assert list(parts) == names
    whole, *each = measure_cost(network, 3, 128, parts).values()
    assert sum(one.parameters for one in each) == whole.parameters
    assert sum(one.flops_per_px for one in each) == pytest.approx(whole.flops_per_px)
    assert all(one.flops_per_px > 0 for one in each)
