import pytest
import torch
from torch import nn

from geohier.config.model import ModelConfig
from geohier.errors import ConfigError
from geohier.models.segmentation import at_image_resolution, build_segmenter, level_ladder


@pytest.mark.parametrize("bands", [1, 3, 7])
@pytest.mark.parametrize(
    ("decoder", "depth", "strides"),
    [
        ("fpn", 5, (4, 8, 16, 32)),
        ("fpn", 4, (2, 4, 8, 16)),
        ("fpn", 3, (1, 2, 4, 8)),
        ("unet", 5, (2, 4, 8, 16, 32)),
        ("unet", 4, (2, 4, 8, 16)),
    ],
)
def test_every_pixel_gets_one_score_per_class_at_any_depth(
    decoder: str, depth: int, strides: tuple[int, ...], bands: int
) -> None:
    config = ModelConfig(encoder="test_resnet", decoder=decoder, encoder_depth=depth)
    network = build_segmenter(config, bands, classes=3).eval()
    assert network(torch.rand(2, bands, 64, 96)).shape == (2, 3, 64, 96)
    assert level_ladder(network, bands).strides == strides


def test_a_coarser_network_reads_means_and_enlarges_its_scores() -> None:
    config = ModelConfig(encoder="test_resnet", downsample=2)
    plain = build_segmenter(config, 2, 3).eval()
    small = torch.rand(1, 2, 64, 64)
    image = small.repeat_interleave(2, 2).repeat_interleave(2, 3)
    image[:, :, ::2] += 0.1
    image[:, :, 1::2] -= 0.1

    scores = at_image_resolution(plain, config)(image)

    enlarged = torch.nn.functional.interpolate(plain(small), scale_factor=2, mode="bilinear")
    torch.testing.assert_close(scores, enlarged)


def test_a_network_at_the_image_s_resolution_stays_as_it_is() -> None:
    config = ModelConfig(encoder="test_resnet")
    plain = build_segmenter(config, 2, 3)
    assert at_image_resolution(plain, config) is plain


def test_no_layer_normalises_over_the_tile() -> None:
    network = build_segmenter(ModelConfig(encoder="test_resnet"), 3, 2)
    assert not [m for m in network.modules() if isinstance(m, nn.GroupNorm | nn.InstanceNorm2d)]


def test_building_and_measuring_strides_leaves_the_network_ready_to_train() -> None:
    network = build_segmenter(ModelConfig(encoder="test_resnet"), 3, 2)
    level_ladder(network, 3)
    assert all(module.training for module in network.modules())
    statistics = {name: value for name, value in network.named_buffers() if "running_mean" in name}
    assert statistics
    assert all(bool((value == 0).all()) for value in statistics.values())


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"encoder": "resnet81"}, "did you mean resnet18"),
        ({"segmentation_channels": 40}, "multiple of 32"),
        ({"encoder": "hf-hub:someone/model"}, "neither timm nor smp"),
        ({"encoder": "test_coatnet"}, "cannot be used with decoder fpn"),
        ({"encoder": "test_convnext", "encoder_depth": 4}, "use encoder_depth 5"),
    ],
)
@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
def test_an_encoder_that_cannot_serve_is_refused_with_a_way_out(
    config: dict[str, object], says: str
) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        build_segmenter(ModelConfig.model_validate(config), 3, 2)
    assert "\n" not in str(caught.value)
