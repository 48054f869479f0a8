"""Masks: as much as asked, in blocks, and never everything."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from geohier.models.masking import draw_masks


@given(st.integers(2, 6), st.integers(1, 9), st.floats(0.01, 0.99), st.integers(0, 2**32 - 1))
def test_the_share_of_blocks_is_the_one_that_was_asked_for(
    side: int, block_px: int, share: float, seed: int
) -> None:
    size = side * block_px
    draw = torch.Generator().manual_seed(seed)
    masks = draw_masks(
        (3, 2, size, size), block_px=block_px, share=share, band_chance=0, generator=draw
    )
    wanted = min(max(1, round(share * side**2)), side**2 - 1)
    assert masks.float().mean(dim=(2, 3)).mul(side**2).round().unique().tolist() == [wanted]
    blocks = masks[:, :, ::block_px, ::block_px]
    grown = blocks.repeat_interleave(block_px, 2).repeat_interleave(block_px, 3)
    assert torch.equal(masks, grown)


@given(st.integers(1, 5), st.floats(0, 0.99), st.integers(0, 2**32 - 1))
def test_some_band_is_always_left(bands: int, chance: float, seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    masks = draw_masks((8, bands, 8, 8), block_px=4, share=0.5, band_chance=chance, generator=draw)
    assert (~masks).any(dim=(2, 3)).any(dim=1).all()


def test_bands_are_masked_as_often_as_they_should_be() -> None:
    draw = torch.Generator().manual_seed(0)
    masks = draw_masks((4000, 4, 4, 4), block_px=2, share=0.5, band_chance=0.3, generator=draw)
    whole = masks.all(dim=(2, 3)).float().mean()
    assert abs(whole - 0.3 * 3 / 4) < 0.02  # of four bands, one is always left
