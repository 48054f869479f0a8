"""Cells of several pixels: the same tiles and the same ground, counted in larger units."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from geohier.geo.tiling import TileGrid
from geohier.geo.window import Window
from geohier.inference.cells import any_in_cell, pixels_of_cells, tiles_of_cells


@st.composite
def grids_of_cells(draw: st.DrawFn) -> tuple[TileGrid, int]:
    """Draw tiles whose sides, overlaps and margins are multiples of a cell."""
    stride, size = draw(st.sampled_from([1, 2, 4, 8])), draw(st.integers(2, 8))
    overlap = draw(st.integers(0, size // 2))
    margin = draw(st.integers(0, overlap // 2))
    grid = TileGrid(
        height=draw(st.integers(1, 150)),
        width=draw(st.integers(1, 150)),
        size=size * stride,
        overlap=overlap * stride,
        margin=margin * stride,
    )
    return grid, stride


@given(grids_of_cells())
def test_a_tile_finishes_the_cells_of_the_pixels_that_it_finishes(
    drawn: tuple[TileGrid, int],
) -> None:
    grid, stride = drawn
    cells = tiles_of_cells(grid, stride)
    assert (cells.rows, cells.columns) == (grid.rows, grid.columns)
    for row in range(grid.rows):
        done = cells.finished_rows(row)
        window = Window(row_off=done.start, col_off=0, height=len(done), width=cells.width)
        pixels = pixels_of_cells(window, stride, grid)
        assert range(pixels.row_off, pixels.row_stop) == grid.finished_rows(row)
        assert pixels.width == grid.width


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_a_cell_holds_what_any_of_its_pixels_holds(
    height: int, width: int, stride: int, seed: int
) -> None:
    mask = np.random.default_rng(seed).random((height, width)) < 0.05
    cells = any_in_cell(mask, stride)
    assert cells.shape == (-(-height // stride), -(-width // stride))
    for row, column in np.ndindex(cells.shape):
        own = mask[row * stride : (row + 1) * stride, column * stride : (column + 1) * stride]
        assert cells[row, column] == own.any()
