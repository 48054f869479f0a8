"""What is saved of a window when some of it cannot be read."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from geohier.geo.window import Window, intersection
from geohier.raster.access import BlockReadError
from geohier.raster.salvage import blank, blocks_of, first_lost_row, salvage_rows, whole_block
from geohier.raster.source import Pixels


@given(row=st.integers(0, 50), height=st.integers(1, 40), damage=st.integers(0, 100))
def test_halving_saves_every_row_above_the_damage(row: int, height: int, damage: int) -> None:
    window = Window(row_off=row, col_off=3, height=height, width=2)
    tries = []

    def read(part: Window) -> Pixels:
        tries.append(part)
        if part.row_stop > damage:
            raise BlockReadError("damaged", part)
        rows = np.arange(part.row_off, part.row_stop, dtype="uint8")
        values = np.broadcast_to(rows[None, :, None], (1, part.height, 2))
        return Pixels(values=values, valid=np.ones((1, part.height, 2), bool))

    pixels = blank(window, bands=1, layers=1, dtype=np.dtype("uint8"))
    lost = salvage_rows(read, pixels, window)

    rows = np.arange(row, row + height)
    np.testing.assert_array_equal(pixels.valid[0, :, 0], rows < damage)
    np.testing.assert_array_equal(pixels.values[0, :, 1], np.where(rows < damage, rows, 0))
    assert lost == (max(damage, row) if damage < window.row_stop else None)
    assert len(tries) <= height.bit_length() + 1


@given(damage=st.integers(0, 100), below=st.integers(0, 100))
def test_halving_finds_where_the_damage_begins(damage: int, below: int) -> None:
    tries = []

    def read(part: Window) -> Pixels:
        tries.append(part)
        if part.row_stop > damage:
            raise BlockReadError("damaged", part)
        return blank(part, bands=1, layers=1, dtype=np.dtype("uint8"))

    assert first_lost_row(read, damage + below, width=7) == damage
    assert len(tries) <= (damage + below).bit_length()
    assert all((part.col_off, part.width) == (0, 7) for part in tries)


sides = st.integers(1, 30)


@given(shape=st.tuples(sides, sides), block_shape=st.tuples(sides, sides), data=st.data())
def test_a_part_of_a_block_tells_the_whole_block(
    shape: tuple[int, int], block_shape: tuple[int, int], data: st.DataObject
) -> None:
    whole = Window(row_off=0, col_off=0, height=shape[0], width=shape[1])
    blocks = list(blocks_of(whole, block_shape))
    row, col = (data.draw(st.integers(0, side - 1)) for side in shape)
    window = Window(
        row_off=row,
        col_off=col,
        height=data.draw(st.integers(1, shape[0] - row)),
        width=data.draw(st.integers(1, shape[1] - col)),
    )
    for part in blocks_of(window, block_shape):
        block = whole_block(part, block_shape, shape)
        assert block in blocks
        assert intersection(block, window) == part
