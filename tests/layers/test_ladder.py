"""Which features of an encoder are levels, and those beyond them."""

import pytest
import torch

from geohier.config.hierarchy import HierarchyConfig
from geohier.layers.ladder import Ladder

CHANNELS = (3, 8, 12, 16, 24, 32)


def features(side: int = 64) -> list[torch.Tensor]:
    return [torch.rand(2, count, side >> at, side >> at) for at, count in enumerate(CHANNELS)]


@pytest.mark.parametrize("levels", range(2, 8))
@pytest.mark.parametrize("extra", ["pool", "conv"])
def test_there_are_as_many_levels_as_asked_for_each_half_as_fine(levels: int, extra: str) -> None:
    config = HierarchyConfig.model_validate({"levels": levels, "extra_levels": extra})
    ladder = Ladder(CHANNELS, 2, config)

    found = ladder(features(256))

    assert ladder.strides == tuple(4 * 2**at for at in range(levels))
    assert [level.shape[-1] for level in found] == [256 // stride for stride in ladder.strides]
    assert tuple(level.shape[1] for level in found) == ladder.channels


def test_levels_of_the_encoder_are_taken_as_they_are() -> None:
    given = features()
    found = Ladder(CHANNELS, 2, HierarchyConfig(levels=3))(given)
    assert all(one is other for one, other in zip(found, given[2:5], strict=True))


def test_a_pooled_level_is_the_largest_of_four_and_learns_nothing() -> None:
    given = features()
    ladder = Ladder(CHANNELS, 2, HierarchyConfig(levels=5))
    coarsest = ladder(given)[-1]
    torch.testing.assert_close(coarsest[0, 0, 0, 0], given[-1][0, 0, :2, :2].max())
    assert not list(ladder.parameters())


def test_a_strided_level_learns() -> None:
    ladder = Ladder(CHANNELS, 2, HierarchyConfig(levels=6, extra_levels="conv"))
    ladder(features(256))[-1].sum().backward()
    assert all(one.grad is not None for one in ladder.parameters())
