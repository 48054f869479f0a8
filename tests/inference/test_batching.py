from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
from doubles import ArrayReader
from hypothesis import given
from hypothesis import strategies as st
from strategies import grids

from geohier.geo.tiling import TileGrid
from geohier.inference.batching import TileRow, TileRowReader
from geohier.inference.blending import RowBlender
from geohier.inference.reduction import Reduction

if TYPE_CHECKING:
    from geohier.geo.window import Window


def read_rows(reader: ArrayReader, grid: TileGrid, columns: range | None = None) -> list[TileRow]:
    blender = RowBlender(grid, Reduction(classes=2), columns=columns)
    rows = TileRowReader(reader, grid, columns=blender.columns, bands=len(reader.values))
    return [rows.read(row, blender.strip_window(row)) for row in range(grid.rows)]


def values_of(grid: TileGrid, bands: int = 2) -> np.ndarray:
    shape = (bands, grid.height, grid.width)
    return np.random.default_rng(0).integers(0, 1000, shape, dtype="int16")


def mirrored(values: np.ndarray, grid: TileGrid) -> np.ndarray:
    height = (grid.rows - 1) * grid.step + grid.size
    width = (grid.columns - 1) * grid.step + grid.size
    for axis, length in ((1, height), (2, width)):
        extra = [(0, 0)] * 3
        extra[axis] = (0, max(0, length - values.shape[axis]))
        values = np.pad(values, extra, mode="reflect" if values.shape[axis] > 1 else "edge")
    return values


@given(grids(), st.integers(1, 20), st.integers(1, 5))
def test_tiles_are_cut_from_the_raster_mirrored_at_its_end(
    grid: TileGrid, block: int, batch_size: int
) -> None:
    values = values_of(grid)
    reader = ArrayReader(values, block_shape=(block, block))
    whole = mirrored(values, grid)

    for row in read_rows(reader, grid):
        batches = list(row.batches(batch_size))
        assert all(len(batch.tiles) <= batch_size for batch in batches)
        for batch in batches:
            assert batch.valid is None
            for tile, pixels in zip(batch.tiles, batch.pixels, strict=True):
                rows, columns = tile.window.slices
                np.testing.assert_array_equal(pixels.numpy(), whole[:, rows, columns])


@given(grids(), st.integers(1, 20))
def test_every_row_of_the_raster_is_read_once(grid: TileGrid, block: int) -> None:
    reader = ArrayReader(values_of(grid), block_shape=(block, block))
    read_rows(reader, grid)
    assert Counter(reader.rows_read) == Counter(range(grid.height))


@given(grids(), st.floats(0, 1), st.integers(0, 2**32 - 1), st.data())
def test_validity_follows_the_pixels_and_tiles_without_any_are_left_out(
    grid: TileGrid, share: float, seed: int, data: st.DataObject
) -> None:
    valid = np.random.default_rng(seed).random((1, grid.height, grid.width)) < share**3
    reader = ArrayReader(values_of(grid), valid, block_shape=(7, 5))
    start = data.draw(st.integers(0, max(grid.columns - 2, 0)))
    swath = range(start, grid.columns)
    blender = RowBlender(grid, Reduction(classes=2), columns=swath)
    whole = mirrored(valid, grid)

    for row in read_rows(reader, grid, swath):
        np.testing.assert_array_equal(row.wanted, valid[0][blender.strip_window(row.row).slices])
        for tile in row.tiles:
            inside = valid[0][tile.window.clipped(height=grid.height, width=grid.width).slices]
            assert (tile.column in row.seen) == inside.any()
        for batch in row.batches(3):
            for at, tile in enumerate(batch.tiles):
                rows, columns = tile.window.slices
                expected = whole[:, rows, columns]
                assert batch.valid is not None or expected.all()
                if batch.valid is not None:
                    np.testing.assert_array_equal(batch.valid[at].numpy(), expected)


def test_columns_and_rows_without_data_are_not_read() -> None:
    valid = np.zeros((1, 100, 100), bool)
    valid[:, 60:70, 40:50] = True
    grid = TileGrid(height=100, width=100, size=20, overlap=4)
    reader = ArrayReader(values_of(grid), valid, block_shape=(10, 10))
    read: list[Window] = []
    plain_read = reader.read
    reader.read = lambda window: (read.append(window), plain_read(window))[1]  # type: ignore[method-assign]

    read_rows(reader, grid)

    assert read, "the valid pixels were read"
    assert min(window.row_off for window in read) >= 30
    assert all(window.col_off >= 30 and window.col_stop <= 68 for window in read)
