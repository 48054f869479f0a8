"""Pyramids with a level left out."""

import pytest
import torch
from torch import nn

from geohier.config.model import ModelConfig
from geohier.models.segmentation import build_segmenter
from geohier.models.without_level import look_without, merges_levels


def network(decoder: str) -> nn.Module:
    torch.manual_seed(0)
    return build_segmenter(ModelConfig(encoder="test_resnet", decoder=decoder), 3, 2).eval()


@pytest.mark.parametrize("decoder", ["fpn", "hierarchy"])
def test_with_all_levels_the_answer_is_the_network_s_own(decoder: str) -> None:
    one, image = network(decoder), torch.randn(2, 3, 64, 64)
    seen = look_without(one, image)
    torch.testing.assert_close(seen.logits, one(image), rtol=0, atol=0)
    assert [level.shape[-1] for level in seen.levels] == [16, 8, 4, 2]


@pytest.mark.parametrize("decoder", ["fpn", "hierarchy"])
def test_a_level_left_out_is_that_level(decoder: str) -> None:
    """What a level reads may be anything at all if it is left out, and only then."""
    one, image = network(decoder), torch.randn(1, 3, 64, 64)
    reads = list(
        one.get_submodule("decoder.seg_blocks" if decoder == "fpn" else "reads").children()
    )
    finest_first = reads[::-1] if decoder == "fpn" else reads
    for level, read in enumerate(finest_first):
        before = look_without(one, image, without=level).logits
        with torch.no_grad():
            for parameter in read.parameters():
                parameter.mul_(3).add_(0.5)
        torch.testing.assert_close(look_without(one, image, without=level).logits, before)
        other = look_without(one, image, without=(level + 1) % 4).logits
        assert not torch.allclose(other, before)


def test_a_unet_merges_no_levels_of_which_one_could_be_left_out() -> None:
    assert not merges_levels(network("unet"))
    assert merges_levels(network("fpn"))
