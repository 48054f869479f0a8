"""What is saved of a window when some of it cannot be read."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from geohier.geo.window import Window
from geohier.raster.access import BlockReadError
from geohier.raster.salvage import blank, salvage_rows
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
    assert sum(part.height for part in lost) == (rows >= damage).sum()
    assert all(part.row_stop == window.row_stop for part in lost)
    assert len(tries) <= height.bit_length() + 1
