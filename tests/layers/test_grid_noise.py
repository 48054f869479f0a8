"""Noise that belongs to places."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from geohier.layers.grid_noise import grid_noise

PLACES = st.integers(0, 2**31)
SIDES = st.integers(1, 9)


@given(
    seed=st.integers(0, 2**63 - 1),
    level=st.integers(0, 6),
    corner=st.tuples(PLACES, PLACES),
    offset=st.tuples(SIDES, SIDES),
    sides=st.tuples(SIDES, SIDES),
    more=st.integers(0, 3),
)
def test_a_place_has_the_same_noise_whoever_asks_for_it(
    seed: int,
    level: int,
    corner: tuple[int, int],
    offset: tuple[int, int],
    sides: tuple[int, int],
    more: int,
) -> None:
    (row, col), (down, right), (height, width) = corner, offset, sides
    whole = grid_noise(
        seed, level, 2 + more, row=row, col=col, height=down + height, width=right + width
    )
    part = grid_noise(seed, level, 2, row=row + down, col=col + right, height=height, width=width)
    assert torch.equal(whole[:2, down:, right:], part)


def drawn(
    seed: int = 3, level: int = 1, channels: int = 2, row: int = 0, col: int = 0
) -> torch.Tensor:
    return grid_noise(seed, level, channels, row=row, col=col, height=256, width=256)


def test_it_is_distributed_normally() -> None:
    noise = drawn().double()
    count = noise.numel()
    for power, expected, spread in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        error = float((noise**power).mean()) - expected
        assert abs(error) < 4 * (spread / count) ** 0.5, power
    for below in (-2.0, -0.5, 1.0):
        share = float((noise < below).double().mean())
        assert (
            abs(share - float(torch.special.ndtr(torch.tensor(below)))) < 4 * (0.25 / count) ** 0.5
        )


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 4},
        {"level": 2},
        {"row": 1},
        {"col": 1},
        {"row": 256, "col": 256},
        {"seed": 3 + 2**62},
    ],
    ids=str,
)
def test_other_seeds_levels_and_places_draw_independently(other: dict[str, int]) -> None:
    one, two = drawn().flatten().double(), drawn(**other).flatten().double()
    assert abs(float((one * two).mean())) < 4 / len(one) ** 0.5


def test_neighbours_and_channels_are_independent() -> None:
    noise = drawn(channels=3).double()
    pairs = (
        (noise[0], noise[1]),
        (noise[1], noise[2]),
        (noise[:, 1:], noise[:, :-1]),
        (noise[..., 1:], noise[..., :-1]),
        (noise[:, 1:, 1:], noise[:, :-1, :-1]),
    )
    for one, two in pairs:
        assert abs(float((one * two).mean())) < 4 / one.numel() ** 0.5
    transposed = noise.transpose(1, 2)
    off = ~torch.eye(256, dtype=torch.bool).expand(3, -1, -1)
    assert abs(float((noise * transposed)[off].mean())) < 4 / (off.sum() / 2) ** 0.5


def test_it_never_changes_from_release_to_release() -> None:
    found = grid_noise(7, 2, 1, row=1000, col=2000, height=1, width=4).flatten()
    assert found.tolist() == pytest.approx(
        [-0.1936099, 0.0662751, -0.2074639, -0.2614085], abs=1e-6
    )
