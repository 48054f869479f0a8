"""The Laplacian pyramid: what levels add up to, and what they do not look at."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from geohier.objectives.laplacian import cell_share, laplacian_pyramid, rebuild

LADDERS = st.sampled_from([(1,), (1, 2), (1, 2, 4, 8), (1, 4, 8), (2, 4), (4, 8, 16)])


def drawn(seed: int, bands: int = 2, side: int = 32) -> torch.Tensor:
    return torch.randn(3, bands, side, side, generator=torch.Generator().manual_seed(seed))


@given(LADDERS, st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_the_levels_add_up_to_the_image(strides: tuple[int, ...], seed: int, share: float) -> None:
    image = drawn(seed)
    valid = torch.rand(3, 1, 32, 32, generator=torch.Generator().manual_seed(seed)) < share
    found = rebuild(laplacian_pyramid(image, valid, strides))
    finest = strides[0]
    sums = torch.nn.functional.avg_pool2d(torch.where(valid, image, 0.0), finest)
    known = cell_share(valid, finest) > 0
    means = torch.where(known, sums / cell_share(valid, finest).clamp(min=1e-6), found)
    torch.testing.assert_close(found, means, atol=1e-5, rtol=1e-5)
    if finest == 1 and bool(valid.all()):
        torch.testing.assert_close(found, image, atol=1e-5, rtol=1e-5)


@given(LADDERS, st.integers(0, 2**32 - 1))
def test_invalid_pixels_are_not_looked_at(strides: tuple[int, ...], seed: int) -> None:
    image = drawn(seed)
    valid = torch.rand(3, 1, 32, 32, generator=torch.Generator().manual_seed(seed)) < 0.5
    other = torch.where(valid, image, torch.nan)
    pairs = zip(
        laplacian_pyramid(image, valid, strides),
        laplacian_pyramid(other, valid, strides),
        strict=True,
    )
    for one, another in pairs:
        torch.testing.assert_close(one, another)


def test_a_level_adds_nothing_where_all_is_alike() -> None:
    flat = torch.full((1, 1, 16, 16), 3.0)
    *details, rest = laplacian_pyramid(flat, torch.ones(1, 1, 16, 16, dtype=torch.bool), (1, 2, 4))
    assert all(not detail.any() for detail in details)
    assert (rest == 3).all()
