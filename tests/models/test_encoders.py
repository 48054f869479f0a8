"""Encoders of all libraries: features as promised, on any bands and sizes."""

import pytest
import segmentation_models_pytorch as smp
import torch
from encoder_checks import check_rounding
from torch import nn

from geohier.config.model import ModelConfig
from geohier.errors import ConfigError
from geohier.models import backbone
from geohier.models.encoders import build_encoder, check_encoder
from geohier.models.segmentation import build_segmenter, level_ladder

LARGE = "swin_tiny_patch4_window7_224"
NAMES = (
    "resnet10t",
    "convnext_atto",
    "tf_efficientnet_lite0",
    "mobilenetv3_small_050",
    "mit_b0",
    "test_vit",
)
EACH = [
    *((name, bands) for name in NAMES for bands in (1, 3, 4, 12)),
    (LARGE, 12),
    *(pytest.param(LARGE, bands, marks=pytest.mark.slow) for bands in (1, 3, 4)),
]


def encoder(name: str, bands: int = 3, depth: int = 5, **options: object) -> nn.Module:
    torch.manual_seed(0)
    config = ModelConfig.model_validate({"encoder": name, "encoder_depth": depth, **options})
    return build_encoder(config, bands).eval()


@pytest.mark.parametrize(("name", "bands"), EACH)
def test_features_halve_and_have_the_channels_that_they_promise(name: str, bands: int) -> None:
    net = encoder(name, bands)
    image = torch.rand(2, bands, 64, 96)
    features = net(image)
    assert torch.equal(features[0], image)
    assert [tuple(one.shape[2:]) for one in features] == [(64 >> k, 96 >> k) for k in range(6)]
    assert [one.shape[1] for one in features] == list(net.out_channels)
    assert all(net.out_channels[2:])
    assert net.output_stride == 32


@pytest.mark.parametrize("name", NAMES)
def test_every_band_and_every_level_take_part(name: str) -> None:
    net = encoder(name, 4)
    image = torch.rand(1, 4, 64, 64, requires_grad=True)
    for at, feature in enumerate(net(image)[1:], start=1):
        if feature.shape[1]:
            (gradient,) = torch.autograd.grad(feature.square().sum(), image, retain_graph=True)
            assert bool((gradient.abs().sum((0, 2, 3)) > 0).all()), at


@pytest.mark.parametrize("name", NAMES[:-1])
def test_fewer_halvings_are_the_first_of_more(name: str) -> None:
    """Draws differ, so that it is channels that are compared."""
    shallow, deep = encoder(name, depth=3), encoder(name)
    image = torch.rand(1, 3, 40, 56)
    assert list(shallow.out_channels) == list(deep.out_channels)[:4]
    assert [one.shape[2] for one in shallow(image)] == [40, 20, 10, 5]


@torch.no_grad()
@pytest.mark.parametrize("name", ["resnet10t", "mit_b0", "test_vit"])
def test_bfloat16_and_channels_last_give_the_same_but_for_rounding(name: str) -> None:
    check_rounding(encoder(name), bands=3)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("levels", [3, 5])
def test_a_hierarchy_stands_on_each(name: str, levels: int) -> None:
    """With a level less than an encoder has, and with one more."""
    config = ModelConfig.model_validate(
        {"encoder": name, "decoder": "hierarchy", "hierarchy": {"levels": levels}}
    )
    network = build_segmenter(config, 4, 3).eval()
    assert level_ladder(network, 4).strides == (4, 8, 16, 32, 64)[:levels]
    assert network(torch.rand(2, 4, 64, 128)).shape == (2, 3, 64, 128)


@pytest.mark.parametrize("decoder", ["fpn", "unet"])
def test_smp_s_networks_are_what_they_would_be_by_name(decoder: str) -> None:
    config = ModelConfig(encoder="test_resnet", decoder=decoder, encoder_depth=4)
    torch.manual_seed(3)
    if decoder == "fpn":
        ours = backbone.build_fpn(config, 2, 3)
        torch.manual_seed(3)
        theirs = smp.FPN(
            "tu-test_resnet",
            encoder_depth=4,
            encoder_weights=None,
            decoder_pyramid_channels=128,
            decoder_segmentation_channels=64,
            decoder_dropout=0.1,
            in_channels=2,
            classes=3,
            upsampling=2,
        )
    else:
        ours = backbone.build_unet(config, 2, 3)
        torch.manual_seed(3)
        theirs = smp.Unet(
            "tu-test_resnet",
            encoder_depth=4,
            encoder_weights=None,
            decoder_channels=(128, 64, 32, 16),
            in_channels=2,
            classes=3,
        )
    image = torch.rand(1, 2, 32, 48)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert torch.equal(ours.eval()(image), theirs.eval()(image))


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("resnet81", r"did you mean resnet18\?"),
        ("hf-hub:someone/model", "neither timm nor smp has an encoder named"),
    ],
)
def test_an_encoder_that_nobody_has_is_refused(name: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        check_encoder(name)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"encoder": "test_coatnet"}, "does not take images of any size"),
        ({"encoder": "mit_b0", "drop_path": 0.1}, "drops no paths"),
        ({"encoder": "pit_ti_224"}, "levels are not each half as fine"),
    ],
)
def test_an_encoder_that_cannot_serve_says_what_does(options: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        build_encoder(ModelConfig.model_validate(options), 3)
    assert "\n" not in str(caught.value)


def test_features_that_do_not_halve_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Odd(nn.Module):
        def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
            return [image, *(image[:, :, : 64 >> at, : 95 >> at] for at in range(1, 6))]

    monkeypatch.setattr("geohier.models.encoders._of_smp", lambda *_: Odd())
    with pytest.raises(ConfigError, match="levels are not each half as fine"):
        build_encoder(ModelConfig(encoder="mit_b0"), 3)
