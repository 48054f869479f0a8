"""Levels of networks as they are trained: what the answer is made of, cell by cell."""

import pytest
import torch
from torch import Tensor, nn

from geohier.config.model import ModelConfig
from geohier.errors import ModelError
from geohier.models.level_features import LevelFeatures, level_features, measure_levels
from geohier.models.segmentation import at_image_resolution, build_segmenter, level_ladder


def built(**changes: object) -> tuple[nn.Module, ModelConfig]:
    fields = {"encoder": "test_resnet", "pyramid_channels": 16, "segmentation_channels": 32}
    config = ModelConfig.model_validate(fields | changes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build_segmenter(config, bands=3, classes=2).eval(), config


@pytest.fixture
def image() -> Tensor:
    return torch.randn(1, 3, 128, 192, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def test_the_answer_of_a_feature_pyramid_follows_from_its_levels(image: Tensor) -> None:
    network, _ = built()
    decoder = network.get_submodule("decoder")
    levels = level_features(network, image)
    coarsest_first = zip(decoder.get_submodule("seg_blocks"), levels[::-1], strict=True)
    answer = network.get_submodule("segmentation_head")(sum(one(x) for one, x in coarsest_first))
    torch.testing.assert_close(answer, network(image))


@torch.no_grad()
def test_the_answer_of_a_u_net_follows_from_its_levels(image: Tensor) -> None:
    network, _ = built(decoder="unet")
    answer = network.get_submodule("decoder")([image, *level_features(network, image)])
    torch.testing.assert_close(network.get_submodule("segmentation_head")(answer), network(image))


@pytest.mark.parametrize("decoder", ["fpn", "unet"])
@pytest.mark.parametrize(("depth", "downsample"), [(5, 1), (4, 1), (4, 2)])
def test_levels_have_the_strides_that_a_card_names(
    decoder: str, depth: int, downsample: int
) -> None:
    network, config = built(decoder=decoder, encoder_depth=depth, downsample=downsample)
    whole = at_image_resolution(network, config)
    named = [downsample * stride for stride in level_ladder(network, 3).strides]
    found = measure_levels(whole, 3, named[-1])
    assert [stride for stride, _ in found] == named
    if decoder == "fpn":
        assert {channels for _, channels in found} == {16}


@torch.no_grad()
def test_chosen_levels_stand_side_by_side_on_the_finest_grid(image: Tensor) -> None:
    network, _ = built()
    levels = level_features(network, image)
    features = LevelFeatures(network, [1, 3])(image)
    assert features.shape == (1, 32, 16, 24)
    torch.testing.assert_close(features[:, :16], levels[1])
    means = nn.functional.avg_pool2d(features[:, 16:, 4:-4, 4:-4], 4)
    assert (means - levels[3][:, :, 1:-1, 1:-1]).abs().mean() < levels[3].std() / 2


def test_measuring_leaves_a_network_in_its_mode() -> None:
    network, _ = built()
    for mode in (True, False):
        network.train(mode)
        measure_levels(network, 3, 32)
        assert network.training == mode


def test_a_module_without_an_encoder_has_no_levels() -> None:
    with pytest.raises(ModelError, match="a Conv2d has no encoder whose levels could be read"):
        measure_levels(nn.Conv2d(3, 2, 1), 3, 1)
