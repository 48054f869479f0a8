"""Low-rank adapters beside a transformer's attention."""

from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn

from geohier.config.fine_tuning import FineTuningConfig
from geohier.config.model import ModelConfig
from geohier.errors import ConfigError
from geohier.models.lora import add_adapters, merge_adapters
from geohier.models.segmentation import build_segmenter
from geohier.models.stages import encoder_body

IMAGE = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def network(encoder: str = "test_vit") -> nn.Module:
    torch.manual_seed(0)
    config = ModelConfig(encoder=encoder, pyramid_channels=16, segmentation_channels=32)
    return build_segmenter(config, 3, 2)


def taught(net: nn.Module, steps: int = 3) -> nn.Module:
    """Let it learn something, and see that it did."""
    learning = [one for one in net.parameters() if one.requires_grad]
    adam = torch.optim.Adam(learning, lr=1e-2)
    net.train()
    for _ in range(steps):
        loss = net(IMAGE).square().mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
    return net.eval()


def state(net: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in net.state_dict().items()}


def test_without_a_rank_the_network_is_left_alone() -> None:
    net = network()
    before = state(net)
    add_adapters(net, 0, seed=0)
    assert list(net.state_dict()) == list(before)
    assert all(one.requires_grad for one in net.parameters())
    merge_adapters(net)
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())


@pytest.mark.parametrize("encoder", ["test_vit", "mit_b0"])
def test_adapters_answer_nothing_until_they_learn(encoder: str) -> None:
    net = network(encoder).eval()
    before = net(IMAGE)
    add_adapters(net, 2, seed=0)
    assert torch.equal(net(IMAGE), before)


@pytest.mark.parametrize("encoder", ["test_vit", "mit_b0"])
def test_only_adapters_learn_and_what_is_not_the_encoder(encoder: str) -> None:
    net = network(encoder)
    add_adapters(net, 2, seed=0)
    before = state(net)
    after = state(taught(net))
    within = "encoder.model." if encoder == "test_vit" else "encoder."
    adapters = {name for name in after if name.endswith((".up", ".down"))}
    own = {name for name in after if name.startswith(within)} - adapters
    assert adapters
    for name in own:
        assert torch.equal(after[name], before[name]), name
    learnt = [name for name, one in net.named_parameters() if name not in own]
    unchanged = [name for name in learnt if torch.equal(after[name], before[name])]
    assert unchanged == []


@torch.no_grad()
def test_merged_weights_answer_as_adapters_do_and_are_of_a_low_rank_more() -> None:
    first = state(network())
    net = network()
    add_adapters(net, 2, seed=0)
    with torch.enable_grad():
        taught(net)
    expected = net(IMAGE)
    merge_adapters(net)
    torch.testing.assert_close(net(IMAGE), expected, rtol=1e-5, atol=1e-5)
    after = net.state_dict()
    assert set(after) == set(first)
    changed = {
        name: int(torch.linalg.matrix_rank(after[name] - first[name], rtol=1e-3))
        for name in first
        if name.startswith("encoder.model.") and not torch.equal(after[name], first[name])
    }
    blocks = len(encoder_body(net.encoder).blocks)
    attention = [f"attn.{layer}.weight" for layer in ("qkv", "proj")]
    assert set(changed) == {
        f"encoder.model.blocks.{at}.{layer}" for at in range(blocks) for layer in attention
    }
    assert set(changed.values()) == {2}


def test_what_swin_learns_positions_by_is_not_adapted() -> None:
    net = network("swinv2_tiny_window8_256")
    add_adapters(net, 4, seed=0)
    adapted = {name.rsplit(".parametrizations", 1)[0] for name, _ in net.named_parameters()}
    assert any(name.endswith("attn.qkv") for name in adapted)
    assert not any(name.endswith("cpb_mlp.0") for name in adapted)


def test_adapters_are_copied_stored_and_read_exactly() -> None:
    net = network()
    add_adapters(net, 2, seed=0)
    taught(net)
    other = network().eval()
    add_adapters(other, 2, seed=1)
    other.load_state_dict(net.state_dict())
    assert torch.equal(other(IMAGE), net(IMAGE))
    assert torch.equal(deepcopy(net)(IMAGE), net(IMAGE))


def test_first_weights_are_those_of_the_seed_and_no_others_are_drawn() -> None:
    one, other = network(), network()
    add_adapters(one, 2, seed=5)
    torch.rand(7)
    generator = torch.get_rng_state()
    add_adapters(other, 2, seed=5)
    assert torch.equal(torch.get_rng_state(), generator)
    for name, value in one.state_dict().items():
        assert torch.equal(other.state_dict()[name], value), name


@pytest.mark.parametrize(
    ("encoder", "rank", "says"),
    [
        ("test_resnet", 2, "no attention to adapt: set it to 0"),
        ("test_vit", 64, "64 is no low rank for the 64 channels"),
    ],
)
def test_where_adapters_make_no_sense_they_are_refused(encoder: str, rank: int, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        add_adapters(network(encoder), rank, seed=0)
    assert "\n" not in str(caught.value)


def test_adapters_and_thawing_are_refused_together() -> None:
    with pytest.raises(ValueError, match="frozen_epochs has nothing to thaw: set it to 0"):
        FineTuningConfig(lora_rank=4, frozen_epochs=2)
