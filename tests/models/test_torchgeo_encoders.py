"""Encoders of torchgeo, small ones: Swin, Scale-MAE, DOFA."""

from typing import Any

import pytest
import torch
import torchgeo.models
from encoder_checks import check_rounding
from torch import nn
from torchvision.models.swin_transformer import PatchMergingV2, SwinTransformer
from torchvision.models.swin_transformer import SwinTransformerBlockV2 as BlockV2

from geohier.config.model import ModelConfig
from geohier.errors import ConfigError
from geohier.geo.bands import Band, BandSet
from geohier.models.encoders import build_encoder, check_encoder
from geohier.models.segmentation import build_segmenter
from geohier.models.sensor import tell_sensor
from geohier.models.stages import encoder_stages
from geohier.models.torchgeo_encoders import Dofa, ScaleMae, Swin
from geohier.models.transfer import start_from
from geohier.models.weight_files import Weights

NAMES = ("swin", "scalemae", "dofa")
COLOURS = ("blue", "green", "red", "nir")
DOFA = ModelConfig(encoder="torchgeo/dofa_small_patch16_224")
SCALE_MAE = ModelConfig(encoder="torchgeo/scalemae_small_patch16")


def bands(*names: str) -> BandSet:
    return BandSet(tuple(Band(name=name, dtype="uint8", mean=100, std=50) for name in names))


def body(name: str, count: int) -> Any:  # noqa: ANN401 - of three libraries
    torch.manual_seed(0)
    if name == "dofa":
        return torchgeo.models.DOFA(
            embed_dim=32, depth=2, num_heads=2, global_pool=False, num_classes=0
        )
    if name == "scalemae":
        return torchgeo.models.ScaleMAE(
            in_chans=count, embed_dim=32, depth=2, num_heads=2, num_classes=0, global_pool="",
            dynamic_img_size=True,
        )  # fmt: skip
    return SwinTransformer(
        [4, 4],
        8,
        [2, 2, 2, 2],
        [1, 2, 4, 8],
        [8, 8],
        block=BlockV2,
        downsample_layer=PatchMergingV2,
    )


def encoder(name: str, count: int = 4, depth: int = 5) -> Any:  # noqa: ANN401 - attributes
    own = body(name, count)
    if name == "dofa":
        net: nn.Module = Dofa(own, count, depth)
        net.wavelengths_um.copy_(torch.linspace(0.4, 2.2, count))
    elif name == "scalemae":
        net = ScaleMae(own, count, depth)
        net.gsd_m.fill_(0.3)
    else:
        net = Swin(own, count, depth, drop_path=0)
    return net.eval()


class Holder(nn.Module):
    """What holds an encoder by its usual name."""

    def __init__(self, inside: nn.Module) -> None:
        super().__init__()
        self.encoder = inside


@torch.no_grad()
@pytest.mark.parametrize("count", [1, 3, 4, 12])
@pytest.mark.parametrize("name", NAMES)
def test_features_halve_and_have_the_channels_that_they_promise(name: str, count: int) -> None:
    net = encoder(name, count)
    image = torch.rand(2, count, 64, 96)
    features = net(image)
    assert torch.equal(features[0], image)
    assert [tuple(one.shape[2:]) for one in features] == [(64 >> k, 96 >> k) for k in range(6)]
    assert [one.shape[1] for one in features] == net.out_channels
    assert all(net.out_channels[2:])
    assert bool(torch.cat([one.flatten() for one in features[2:]]).isfinite().all())
    assert len(encoder(name, count, depth=4)(image)) == 5


@pytest.mark.parametrize("name", NAMES)
def test_every_band_takes_part_and_everything_that_learns_learns(name: str) -> None:
    net = encoder(name)
    image = torch.rand(1, 4, 64, 64, requires_grad=True)
    sum(one.square().sum() for one in net(image)[2:]).backward()
    assert bool((image.grad.abs().sum((0, 2, 3)) > 0).all())
    assert [n for n, one in net.named_parameters() if one.grad is None] == []


@torch.no_grad()
@pytest.mark.parametrize("name", NAMES)
def test_bfloat16_and_channels_last_give_the_same_but_for_rounding(name: str) -> None:
    check_rounding(encoder(name), bands=4)


@torch.no_grad()
@pytest.mark.parametrize("name", ["scalemae", "dofa"])
def test_positions_and_wavelengths_are_never_rounded(name: str) -> None:
    """In bfloat16, 1001 m and 1004 m would be one place, 1610 nm and 1612 nm one colour."""
    net = encoder(name)
    given: list[torch.Tensor] = []
    net.model.blocks[0].register_forward_pre_hook(lambda _, inputs: given.append(inputs[0]))
    image = torch.rand(1, 4, 64, 64)
    net(image)
    with torch.autocast("cpu", torch.bfloat16):
        net(image)
    assert torch.equal(given[0], given[1])


@torch.no_grad()
def test_dofa_is_torchgeo_s_own_on_images_of_the_size_that_it_was_made_for() -> None:
    net = encoder("dofa", 3)
    theirs = body("dofa", 3).eval()
    theirs.load_state_dict(net.model.state_dict())
    theirs.norm, theirs.global_pool = nn.Identity(), False
    image = torch.rand(1, 3, 224, 224)
    expected = theirs.forward_features(image, net.wavelengths_um.tolist())
    net.model.norm = nn.Identity()
    whole: list[torch.Tensor] = []
    net.model.blocks[-1].register_forward_hook(lambda _, __, out: whole.append(out[:, 0]))
    net.tokens(image)
    torch.testing.assert_close(whole[0], expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_scale_mae_is_torchgeo_s_own_on_square_images() -> None:
    net = encoder("scalemae", 3)
    theirs = torchgeo.models.ScaleMAE(
        res=0.3, img_size=64, embed_dim=32, depth=2, num_heads=2, num_classes=0, global_pool=""
    ).eval()
    theirs.load_state_dict(net.model.state_dict(), strict=False)
    image = torch.rand(2, 3, 64, 64)
    expected = theirs.forward_features(image)[:, 1:].transpose(1, 2).unflatten(2, (4, 4))
    torch.testing.assert_close(net.tokens(image), expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_bands_are_known_by_their_wavelengths_wherever_they_stand() -> None:
    net = encoder("dofa", 3)
    image = torch.rand(1, 3, 64, 64)
    before = net.tokens(image)
    net.wavelengths_um.copy_(net.wavelengths_um.flip(0))
    assert not torch.allclose(net.tokens(image), before, atol=1e-4)
    torch.testing.assert_close(net.tokens(image.flip(1)), before, rtol=1e-3, atol=1e-4)


@torch.no_grad()
def test_pixels_of_another_size_lie_elsewhere() -> None:
    net = encoder("scalemae")
    image = torch.rand(1, 4, 64, 64)
    before = net.tokens(image)
    net.gsd_m.fill_(10.0)
    assert not torch.allclose(net.tokens(image), before, atol=1e-3)


@pytest.mark.parametrize(("name", "count"), [("swin", 4), ("scalemae", 2), ("dofa", 2)])
def test_stages_share_out_all_that_the_library_has_built(name: str, count: int) -> None:
    net = encoder(name)
    stages = encoder_stages(Holder(net))
    assert len(stages) == count
    own = [id(parameter) for stage in stages for parameter in stage.parameters]
    assert sorted(own) == sorted(id(one) for one in net.model.parameters())
    assert all(stage.parameters for stage in stages)


@pytest.mark.parametrize("name", NAMES)
def test_weights_as_torchgeo_has_them_are_found(name: str) -> None:
    """The first layer is for the bands that there are, but for DOFA's, which any bands share."""
    net = Holder(encoder(name))
    published = body(name, 3).state_dict()
    with torch.no_grad():
        for value in (one for one in published.values() if one.is_floating_point()):
            value.add_(0.1)
    given = Weights(tensors=published, origin="published", sha256="0" * 64)
    done = start_from(net, given, bands(*COLOURS), ("a", "b"))
    assert done.share > 0.99
    assert ("bands new to it" in str(done)) is (name != "dofa")
    kept = "model.features.1.0.mlp.0.weight" if name == "swin" else "model.blocks.0.mlp.fc1.weight"
    assert torch.equal(net.encoder.state_dict()[kept], published[kept.removeprefix("model.")])


def test_paths_are_dropped_only_on_demand() -> None:
    from torchvision.ops import StochasticDepth

    for wanted in (0, 0.5):
        net = Swin(body("swin", 4), 4, 5, drop_path=wanted)
        chances = [one.p for one in net.modules() if isinstance(one, StochasticDepth)]
        assert max(chances) == pytest.approx(wanted)
    with pytest.raises(ConfigError, match=r"dofa.*set model.drop_path to 0"):
        build_segmenter(DOFA.model_copy(update={"drop_path": 0.1}), 3, 2)


def test_the_sensor_is_told_by_names_or_by_the_config_and_kept_with_the_weights() -> None:
    net = Holder(encoder("dofa"))
    tell_sensor(net, DOFA, bands("B02", "green", "B04", "nir"), None)
    assert net.state_dict()["encoder.wavelengths_um"].tolist() == pytest.approx(
        [0.490, 0.560, 0.665, 0.842]
    )
    tell_sensor(net, DOFA, bands("VV", "VH", "red", "swir22"), None)
    assert net.encoder.wavelengths_um.tolist() == pytest.approx([3.75, 3.75, 0.665, 2.190])
    said = ModelConfig(encoder=DOFA.encoder, wavelengths_um=(1, 2, 3, 10.9))
    tell_sensor(net, said, bands("a", "b", "c", "heat"), None)
    assert net.encoder.wavelengths_um.tolist() == pytest.approx([1, 2, 3, 10.9])
    net = Holder(encoder("scalemae"))
    tell_sensor(net, SCALE_MAE, bands(*COLOURS), (0.1, 0.4))
    assert net.state_dict()["encoder.gsd_m"].item() == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("name", "config", "names", "says"),
    [
        ("dofa", DOFA, ("red", "height", "nir", "x"), "names height x tell none: give"),
        (
            "dofa",
            ModelConfig(encoder=DOFA.encoder, wavelengths_um=(1, 2)),
            COLOURS,
            r"2 wavelengths for 4 bands \(blue green red nir\)",
        ),
        ("scalemae", SCALE_MAE, COLOURS, "how large a pixel is on the ground"),
    ],
)
def test_a_sensor_of_which_too_little_is_known_is_refused(
    name: str, config: ModelConfig, names: tuple[str, ...], says: str
) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        tell_sensor(Holder(encoder(name)), config, bands(*names), None)
    assert "\n" not in str(caught.value)


def test_an_encoder_that_was_told_nothing_has_no_answer() -> None:
    """Rather than a wrong one."""
    assert bool(Dofa(body("dofa", 2), 2, 5).eval()(torch.rand(1, 2, 32, 32))[-1].isnan().all())
    assert bool(
        ScaleMae(body("scalemae", 2), 2, 5).eval()(torch.rand(1, 2, 32, 32))[-1].isnan().all()
    )


@pytest.mark.parametrize(
    "name",
    [
        "torchgeo/dofa_small_patch16_224",
        pytest.param("torchgeo/scalemae_small_patch16", marks=pytest.mark.slow),
        pytest.param("torchgeo/swin_v2_t", marks=pytest.mark.slow),
        pytest.param("torchgeo/swin_t", marks=pytest.mark.slow),
        pytest.param("torchgeo/resnet18", marks=pytest.mark.slow),
        pytest.param("torchgeo/vit_small_patch16_224", marks=pytest.mark.slow),
    ],
)
def test_encoders_are_built_by_their_names_in_torchgeo(name: str) -> None:
    net = build_encoder(ModelConfig(encoder=name), 5)
    assert net.out_channels[0] == 5
    assert len(net.out_channels) == 6


def test_a_misspelt_name_is_put_right() -> None:
    with pytest.raises(ConfigError, match=r"did you mean torchgeo/dofa_small_patch16_224\?"):
        check_encoder("torchgeo/dofa_smal")
    with pytest.raises(ValueError, match=r"wavelengths_um are for encoders .* not for resnet18"):
        ModelConfig(wavelengths_um=(0.5,))
