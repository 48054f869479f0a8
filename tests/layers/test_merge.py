"""How levels become one map."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from geohier.config.hierarchy import HierarchyConfig
from geohier.layers.merge import GatedMerge, Read, build_merge


def reads(levels: int = 3, width: int = 4) -> list[torch.Tensor]:
    torch.manual_seed(0)
    return [torch.randn(2, width, 8, 6) for _ in range(levels)]


@pytest.mark.parametrize("doublings", range(4))
def test_a_level_is_brought_to_the_finest_resolution(doublings: int) -> None:
    part = Read(5, 4, doublings, HierarchyConfig())
    side = 16 >> doublings
    assert part(torch.rand(2, 5, side, side)).shape == (2, 4, 16, 16)


def test_levels_are_added_or_stand_side_by_side() -> None:
    one, two, three = given = reads()
    added, width = build_merge("sum", 4, 3)
    torch.testing.assert_close(added(given)[0], one + two + three)
    assert width == 4
    beside, width = build_merge("concat", 4, 3)
    assert torch.equal(beside(given)[0], torch.cat([one, two, three], dim=1))
    assert width == 12


def test_gates_that_have_learnt_nothing_make_the_sum() -> None:
    merged, used = GatedMerge(4, 3)(reads())
    torch.testing.assert_close(merged, sum(reads()))
    torch.testing.assert_close(used["gates"], torch.full((2, 3, 8, 6), 1 / 3))


@given(st.integers(2, 7), st.integers(0, 2**16), st.floats(0.1, 20))
def test_gates_of_a_pixel_sum_to_one(levels: int, seed: int, spread: float) -> None:
    part = GatedMerge(4, levels)
    torch.manual_seed(seed)
    torch.nn.init.normal_(part.scores.weight, std=spread)
    gates = part(reads(levels))[1]["gates"]
    torch.testing.assert_close(gates.sum(1), torch.ones(2, 8, 6))
    assert bool((gates >= 0).all())


def test_a_gate_that_is_shut_leaves_its_level_out() -> None:
    part = GatedMerge(4, 3)
    assert part.scores.bias is not None
    torch.nn.init.constant_(part.scores.bias[1:2], -100)
    given_reads = reads()
    before, _ = part(given_reads)
    given_reads[1] = given_reads[1] * 7
    torch.testing.assert_close(part(given_reads)[0], before)


def test_a_gate_depends_on_its_own_pixel_alone() -> None:
    part = GatedMerge(4, 3)
    torch.nn.init.normal_(part.scores.weight)
    given_reads = reads()
    before = part(given_reads)[1]["gates"]
    given_reads[0][..., 3, 2] += 1
    changed = (part(given_reads)[1]["gates"] != before).any(1)[0]
    assert changed.nonzero().tolist() == [[3, 2]]
