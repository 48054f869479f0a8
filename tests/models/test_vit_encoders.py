"""Plain transformers of timm with a pyramid."""

from typing import Any

import pytest
import timm
import torch

from geohier.config.model import ModelConfig
from geohier.errors import ConfigError
from geohier.models.encoders import build_encoder
from geohier.models.pyramid_neck import SimplePyramid
from geohier.models.segmentation import build_segmenter

NAME = "test_vit"


def encoder(name: str = NAME, bands: int = 3, depth: int = 5, **options: object) -> Any:  # noqa: ANN401 - attributes of two libraries
    torch.manual_seed(0)
    config = ModelConfig.model_validate({"encoder": name, "encoder_depth": depth, **options})
    return build_encoder(config, bands).eval()


@torch.no_grad()
@pytest.mark.parametrize(("height", "width"), [(160, 160), (32, 96), (224, 64)])
def test_the_map_is_that_of_timm_on_images_of_that_size(height: int, width: int) -> None:
    """At a size of its own, timm resamples the positions once, when the weights are loaded."""
    ours = encoder()
    theirs = timm.create_model(NAME, img_size=(height, width), num_classes=0, global_pool="").eval()
    theirs.load_state_dict(timm.models.vision_transformer.checkpoint_filter_fn(
        ours.model.state_dict(), theirs
    ))  # fmt: skip
    image = torch.rand(2, 3, height, width)
    tokens = theirs.forward_features(image)[:, theirs.num_prefix_tokens :]
    expected = tokens.transpose(1, 2).unflatten(2, (height // 16, width // 16))
    torch.testing.assert_close(ours.tokens(image), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("patch", "channels"), [(8, [16, 32, 32, 32]), (16, [8, 16, 32, 32]), (32, [4, 8, 16, 32])]
)
def test_levels_have_their_strides_whatever_the_patch(patch: int, channels: list[int]) -> None:
    neck = SimplePyramid(32, patch, (4, 8, 16, 32))
    levels = neck(torch.rand(2, 32, 96 // patch, 64 // patch))
    assert [level.shape[2:] for level in levels] == [(96 // s, 64 // s) for s in (4, 8, 16, 32)]
    assert [level.shape[1] for level in levels] == channels == neck.channels


@torch.no_grad()
def test_a_token_is_drawn_out_into_its_own_cells_alone() -> None:
    neck = SimplePyramid(32, 16, (4, 8, 16, 32)).eval()
    tokens = torch.rand(1, 32, 4, 6)
    other = tokens.clone()
    other[:, :, 2, 3] += 5
    for stride, one, two in zip((4, 8, 16, 32), neck(tokens), neck(other), strict=True):
        cell = max(1, 16 // stride)
        at = (2 * 16 // stride, 3 * 16 // stride)
        changed = (one != two).any(1)[0]
        inside = torch.zeros_like(changed)
        inside[at[0] : at[0] + cell, at[1] : at[1] + cell] = True
        assert torch.equal(changed, inside)


@torch.no_grad()
def test_where_a_patch_lies_counts() -> None:
    """Without positions, turning an image upside down would turn its map upside down."""
    net = encoder()
    torch.nn.init.normal_(net.model.pos_embed)
    row = torch.rand(1, 3, 64, 16)
    upside_down = row.unflatten(2, (4, 16)).flip(2).flatten(2, 3)
    assert not torch.allclose(net.tokens(upside_down).flip(2), net.tokens(row), atol=1e-3)
    torch.nn.init.zeros_(net.model.pos_embed)
    torch.testing.assert_close(net.tokens(upside_down).flip(2), net.tokens(row))


@pytest.mark.parametrize("decoder", ["fpn", "unet", "hierarchy"])
def test_each_decoder_runs_on_it_and_teaches_all_of_it(decoder: str) -> None:
    torch.manual_seed(0)
    network = build_segmenter(ModelConfig(encoder=NAME, decoder=decoder), 4, 2)
    network(torch.rand(2, 4, 64, 96)).square().sum().backward()
    untaught = [n for n, one in network.named_parameters() if one.grad is None]
    assert untaught == []


def test_paths_are_dropped_on_demand() -> None:
    chances = [
        module.drop_prob
        for module in encoder(drop_path=0.4).modules()
        if isinstance(module, timm.layers.DropPath)
    ]
    assert chances[-1] == pytest.approx(0.4)
    assert chances == sorted(chances)


@pytest.mark.parametrize(
    ("name", "depth", "says"),
    [
        ("vit_small_patch14_dinov2", 5, "patches of 14 px do not halve into levels: take"),
        (NAME, 3, "patches of 16 px are coarser than the coarsest level, of 8 px: raise"),
        (NAME, 4, r"levels of strides \(4, 8, 16\) px at depth 4, an fpn needs 4"),
    ],
)
@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
def test_patches_that_make_no_levels_are_refused(name: str, depth: int, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        build_segmenter(ModelConfig(encoder=name, encoder_depth=depth), 3, 2)
    assert "\n" not in str(caught.value)
