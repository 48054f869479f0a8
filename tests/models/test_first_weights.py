"""What first weights do to the variance of a pyramid's levels."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from geohier.config.model import ModelConfig
from geohier.models.first_weights import LATERALS, NOISE_SHAPE, RARE, expect_rarely, share_variance
from geohier.models.segmentation import build_segmenter

SMALL = {"encoder": "test_resnet", "pyramid_channels": 64, "segmentation_channels": 32}


def built(seed: int = 0, bands: int = 3, **changes: object) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build_segmenter(ModelConfig.model_validate({**SMALL, **changes}), bands, 2)


def noise(seed: int, bands: int = 3) -> Tensor:
    images, *pixels = NOISE_SHAPE
    return torch.randn(images, bands, *pixels, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def outputs(network: nn.Module, names: list[str], image: Tensor) -> list[Tensor]:
    """What these parts of a network answer while it trains."""
    found: list[Tensor] = []
    hooks = [
        network.get_submodule(name).register_forward_hook(
            lambda module, given, answer: found.append(answer.clone())
        )
        for name in names
    ]
    network.train()(image)
    for hook in hooks:
        hook.remove()
    return found


def levels(network: nn.Module, image: Tensor) -> list[Tensor]:
    return outputs(network, [f"decoder.p{at}" for at in (5, 4, 3, 2)], image)


@pytest.mark.parametrize("encoder", ["resnet18", "test_resnet"])
def test_by_default_convolutions_of_the_decoder_start_as_he_has_it(encoder: str) -> None:
    decoder = built(encoder=encoder).get_submodule("decoder")
    for module in decoder.modules():
        if isinstance(module, nn.Conv2d):
            fan_in = module.weight[0].numel()
            assert float(module.weight.detach().std()) == pytest.approx(
                (2 / fan_in) ** 0.5, rel=0.1
            )
            assert module.bias is None or not module.bias.any()
        elif isinstance(module, nn.BatchNorm2d):
            assert (module.weight == 1).all()
            assert (module.bias == 0).all()


@pytest.mark.parametrize("first", ["he", "unit_pyramid"])
@pytest.mark.parametrize("encoder", ["resnet18", "test_resnet"])
def test_each_level_enters_the_merge_with_unit_variance_behind_its_own_norm(
    encoder: str, first: str
) -> None:
    network = built(encoder=encoder)
    if first == "unit_pyramid":
        share_variance(network, 3, seed=0)
    norms = [f"decoder.seg_blocks.{at}.block.0.block.1" for at in range(4)]
    for entering in outputs(network, norms, noise(1)):
        assert entering.mean().abs() < 0.01
        assert float(entering.std()) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("encoder", ["resnet18", "test_resnet"])
def test_by_default_the_levels_themselves_grow_towards_the_finest(encoder: str) -> None:
    deviations = [float(level.std()) for level in levels(built(encoder=encoder), noise(1))]
    assert deviations == sorted(deviations)
    assert deviations[-1] > 1.5 * deviations[0]


@pytest.mark.parametrize("encoder", ["resnet18", "mobilenetv3_small_050"])
def test_scaled_levels_share_the_variance_of_the_finest(encoder: str) -> None:
    network = built(encoder=encoder)
    share_variance(network, 3, seed=0)
    for seed, tolerance in ((0, 1e-3), (1, 0.05)):
        found = [float(level.var()) for level in levels(network, noise(seed))]
        assert found == pytest.approx([0.25, 0.5, 0.75, 1], rel=tolerance)


@settings(max_examples=5)
@given(
    st.integers(0, 10**6), st.integers(1, 5), st.lists(st.floats(0.01, 100), min_size=4, max_size=4)
)
def test_what_the_laterals_were_before_makes_no_difference_to_the_variance(
    seed: int, bands: int, scales: list[float]
) -> None:
    network = built(seed, bands)
    with torch.no_grad():
        for name, scale in zip(LATERALS, scales, strict=True):
            network.get_submodule(f"decoder.{name}").weight.mul_(scale)
    share_variance(network, bands, seed)
    found = [float(level.var()) for level in levels(network, noise(seed, bands))]
    assert found == pytest.approx([0.25, 0.5, 0.75, 1], rel=1e-3)


def test_nothing_but_the_laterals_is_changed_and_the_seed_decides() -> None:
    before, once, again, other = (built().train() for _ in range(4))
    state = torch.get_rng_state()
    for network, seed in ((once, 0), (again, 0), (other, 1)):
        share_variance(network, 3, seed)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(module.training for module in once.modules())
    old, new, same, else_ = (one.state_dict() for one in (before, once, again, other))
    changed = {name for name in old if not torch.equal(old[name], new[name])}
    assert changed == {f"decoder.{name}.weight" for name in LATERALS}
    assert all(torch.equal(new[name], same[name]) for name in new)
    assert not torch.equal(new["decoder.p5.weight"], else_["decoder.p5.weight"])


@pytest.mark.parametrize("decoder", ["fpn", "unet", "hierarchy"])
def test_objects_are_expected_rarely(decoder: str) -> None:
    config = ModelConfig(encoder="resnet10t", decoder=decoder)
    network = build_segmenter(config, 3, 4).eval()
    expect_rarely(network, ground=1)
    with torch.no_grad():
        shares = network(torch.zeros(1, 3, 64, 64)).softmax(1).mean((0, 2, 3))
    assert shares[1] > 0.9
    torch.testing.assert_close(shares[[0, 2, 3]], torch.full((3,), RARE), atol=0.03, rtol=0)
