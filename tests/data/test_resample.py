"""Windows brought to the size of a chip."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from geohier.data.resample import resample_image


@given(
    st.integers(0, 2**16),
    st.integers(1, 40),
    st.integers(2, 40),
    st.floats(0, 1),
    st.sampled_from([torch.uint8, torch.float32]),
)
def test_what_is_invalid_tells_on_no_pixel(
    seed: int, side: int, size: int, share: float, dtype: torch.dtype
) -> None:
    numbers = torch.Generator().manual_seed(seed)
    values = torch.randint(0, 256, (2, side, side), generator=numbers).to(dtype)
    other = torch.randint(0, 256, (2, side, side), generator=numbers).to(dtype)
    valid = torch.rand(side, side, generator=numbers) < share

    one, seen = resample_image(values, valid, size)
    another, seen_too = resample_image(torch.where(valid, values, other), valid, size)

    assert torch.equal(seen, seen_too)
    assert torch.equal(one[:, seen], another[:, seen])


@given(st.integers(0, 2**16), st.integers(1, 64), st.integers(2, 40), st.floats(0, 1))
def test_bytes_end_within_two_steps_of_what_numbers_do(
    seed: int, side: int, size: int, share: float
) -> None:
    numbers = torch.Generator().manual_seed(seed)
    values = torch.randint(0, 256, (3, side, side), generator=numbers).to(torch.uint8)
    valid = torch.rand(side, side, generator=numbers) < share

    exact, seen = resample_image(values.float(), valid, size)
    found, seen_too = resample_image(values, valid, size)

    assert torch.equal(seen, seen_too)
    assert torch.all((exact - found)[:, seen].abs() <= 2.001)


@given(st.integers(0, 255), st.integers(2, 64), st.integers(2, 40), st.integers(0, 2**16))
def test_a_constant_stays_constant_up_to_the_edge_of_what_is_valid(
    value: int, side: int, size: int, seed: int
) -> None:
    values = torch.full((1, side, side), value, dtype=torch.uint8)
    valid = torch.rand(side, side, generator=torch.Generator().manual_seed(seed)) < 0.7

    found, seen = resample_image(values, valid, size)

    assert torch.all((found[:, seen] - value).abs() <= 2.001)
