"""How levels tell each other what they see."""

import pytest
import torch
from torch import nn

from geohier.config.hierarchy import HierarchyConfig
from geohier.layers.fusion import WeightedFusion, build_fusion

CHANNELS = (6, 8, 10)
WIDTH = 4
FUSIONS = ["none", "sum", "concat", "weighted", "pan"]
UP = {"weighted", "pan"}
"""Fusions by which coarse levels hear of fine ones."""


def pyramid(*, grad: bool = False) -> list[torch.Tensor]:
    torch.manual_seed(0)
    return [
        torch.randn(2, count, 32 >> at, 32 >> at, requires_grad=grad)
        for at, count in enumerate(CHANNELS)
    ]


def fusion(name: str, **more: object) -> nn.Module:
    torch.manual_seed(1)
    config = HierarchyConfig.model_validate({"levels": 3, "fusion": name, **more})
    return build_fusion(CHANNELS, WIDTH, config)


@pytest.mark.parametrize("name", FUSIONS)
@pytest.mark.parametrize("norm", ["batch", "layer"])
@pytest.mark.parametrize("separable", [False, True])
def test_levels_keep_their_resolution_and_get_one_width(
    name: str, norm: str, separable: bool
) -> None:
    levels, _ = fusion(name, norm=norm, separable=separable)(pyramid())
    assert [tuple(level.shape) for level in levels] == [
        (2, WIDTH, 32, 32),
        (2, WIDTH, 16, 16),
        (2, WIDTH, 8, 8),
    ]


@pytest.mark.parametrize("name", FUSIONS)
@pytest.mark.parametrize("changed", range(3))
def test_a_level_is_heard_by_finer_ones_and_only_on_the_way_up_by_coarser(
    name: str, changed: int
) -> None:
    part = fusion(name).eval()
    before, _ = part(given := pyramid())
    given[changed] = given[changed] + 1
    after, _ = part(given)
    told = [not torch.equal(one, other) for one, other in zip(before, after, strict=True)]
    expected = [
        at == changed or (name != "none" and at < changed) or (name in UP and at > changed)
        for at in range(3)
    ]
    assert told == expected


@pytest.mark.parametrize("name", FUSIONS)
def test_every_weight_of_a_fusion_learns_from_its_levels(name: str) -> None:
    part, given = fusion(name), pyramid(grad=True)
    levels, _ = part(given)
    sum(level.square().sum() for level in levels).backward()
    assert all(one.grad is not None and one.grad.any() for one in part.parameters())
    assert all(level.grad is not None and level.grad.any() for level in given)


@pytest.mark.parametrize("name", FUSIONS)
def test_a_fusion_is_what_its_state_says(name: str) -> None:
    part, other = fusion(name).eval(), fusion(name)
    for one in other.parameters():
        nn.init.normal_(one)
    other.load_state_dict(part.state_dict())
    for one, another in zip(part(pyramid())[0], other.eval()(pyramid())[0], strict=True):
        assert torch.equal(one, another)


@pytest.mark.parametrize("name", FUSIONS)
def test_a_change_far_away_on_the_finest_level_is_not_noticed(name: str) -> None:
    part = fusion(name).eval()
    before, _ = part(given := pyramid())
    given[0][..., 24:, 24:] += 5
    after, _ = part(given)
    assert torch.equal(before[0][..., :4, :4], after[0][..., :4, :4])


@pytest.mark.parametrize("repeats", [1, 3])
def test_shares_of_a_weighted_fusion_start_alike_and_are_handed_out(repeats: int) -> None:
    part = fusion("weighted", repeats=repeats)
    _, used = part(pyramid())
    torch.testing.assert_close(used["down"], torch.full((repeats, 2, 2), 1 / 2), atol=1e-4, rtol=0)
    torch.testing.assert_close(used["up"], torch.full((repeats, 2, 3), 1 / 3), atol=1e-4, rtol=0)


def test_a_weight_below_zero_leaves_its_level_out() -> None:
    part = fusion("weighted")
    assert isinstance(part, WeightedFusion)
    with torch.no_grad():
        part.rounds[0].down[:, 1] = -1  # type: ignore[index, union-attr]  # coarser ones
        part.rounds[0].up[:, 1] = -1  # type: ignore[index, union-attr]
    part.eval()
    before, _ = part(given := pyramid())
    given[2] = given[2] + 1
    assert torch.equal(before[0], part(given)[0][0])


@pytest.mark.parametrize("name", FUSIONS)
def test_a_fusion_computes_in_bfloat16_too(name: str) -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        levels, _ = fusion(name)([one.to(memory_format=torch.channels_last) for one in pyramid()])
    assert all(bool(level.isfinite().all()) for level in levels)
