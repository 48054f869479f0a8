"""Whatever is left out of a raster, tiles that are wanted are cut from all that they look at."""

import numpy as np
from doubles import ArrayReader
from hypothesis import given
from hypothesis import strategies as st
from strategies import grids

from geohier.geo.tiling import Tile, TileGrid
from geohier.geo.window import Window, intersection
from geohier.inference.bands import BandReader
from geohier.raster.source import Pixels

AROUND = st.just((0, 0)) | st.tuples(st.integers(0, 30), st.integers(0, 60))


def mirrored(values: np.ndarray, grid: TileGrid, around: tuple[int, int] = (0, 0)) -> np.ndarray:
    """Return `(C, H, W)` as far as all tiles look, mirrored at its edges."""
    for axis, count, more in ((1, grid.rows, around[0]), (2, grid.columns, around[1])):
        extra = [(0, 0)] * 3
        length = values.shape[axis]
        extra[axis] = (more, max(0, (count - 1) * grid.step + grid.size - length) + more)
        values = np.pad(values, extra, mode="reflect" if length > 1 else "edge")
    return values


def grown(tile: Tile, around: tuple[int, int]) -> Window:
    return tile.window.grown(rows=around[0], cols=around[1])


class DamagedReader(ArrayReader):
    """A reader of which some blocks cannot be read."""

    def __init__(self, values: np.ndarray, block: int, damaged: np.ndarray) -> None:
        super().__init__(values, block_shape=(block, block))
        self.damaged = damaged

    def read_salvaged(self, window: Window) -> tuple[Pixels, tuple[Window, ...]]:
        side, (height, width) = self.block_shape[0], self.values.shape[1:]
        blocks = [
            Window(row_off=row, col_off=col, height=side, width=side)
            for row, col in (side * np.argwhere(self.damaged)).tolist()
        ]
        lost = (block.clipped(height=height, width=width) for block in blocks)
        return self.read(window), tuple(one for one in lost if intersection(one, window))


@given(grids(), AROUND, st.integers(1, 20), st.floats(0, 1), st.integers(0, 999), st.data())
def test_wanted_tiles_see_all_of_their_surroundings_wherever_reading_begins(
    grid: TileGrid,
    around: tuple[int, int],
    block: int,
    share: float,
    seed: int,
    data: st.DataObject,
) -> None:
    rng = np.random.default_rng(seed)
    wanted = rng.random((grid.rows, grid.columns)) < share
    values = rng.integers(1, 1000, (1, grid.height, grid.width), dtype="int16")
    whole = mirrored(values, grid, around)
    left = data.draw(st.integers(0, grid.columns - 1))
    reader = BandReader(
        ArrayReader(values, block_shape=(block, block)),
        grid,
        range(left, grid.columns),
        bands=1,
        promising=lambda tile: bool(wanted[tile.row, tile.column]),
        around=around,
    )
    for row in range(data.draw(st.integers(0, grid.rows - 1)), grid.rows):
        band, _ = reader.read(row)
        for column in range(left, grid.columns):
            if wanted[row, column]:
                window = grown(grid.tile(row, column), around)
                rows, cols = window.shifted(rows=around[0], cols=around[1]).slices
                np.testing.assert_array_equal(band.cut(window).values, whole[:, rows, cols])


def test_what_stands_mirrored_below_the_end_is_read_though_no_tile_above_is_wanted() -> None:
    grid = TileGrid(height=10, width=8, size=8, overlap=0)  # the last tile mirrors rows 3 to 8
    values = np.arange(80, dtype="uint8").reshape(1, 10, 8)
    reader = BandReader(
        ArrayReader(values, block_shape=(1, 8)),
        grid,
        range(1),
        bands=1,
        promising=lambda tile: tile.row == 1,
    )
    for row in range(2):
        band, _ = reader.read(row)
    np.testing.assert_array_equal(
        band.cut(grid.tile(1, 0).window).values, mirrored(values, grid)[:, 8:]
    )


@given(grids(), AROUND, st.integers(1, 20), st.integers(0, 2**32 - 1), st.data())
def test_the_damage_that_is_told_of_is_what_wanted_tiles_look_at(
    grid: TileGrid, around: tuple[int, int], block: int, seed: int, data: st.DataObject
) -> None:
    rng = np.random.default_rng(seed)
    wanted = rng.random((grid.rows, grid.columns)) < 0.3
    blocks = (-(-grid.height // block), -(-grid.width // block))
    damaged = rng.random(blocks) < 0.3
    values = np.zeros((1, grid.height, grid.width), "uint8")

    def looked_at(tile: Tile) -> set[tuple[int, int]]:
        height, width = grid.height, grid.width
        places = mirrored(np.arange(height * width).reshape(1, height, width), grid, around)[0]
        seen = grown(tile, around).shifted(rows=around[0], cols=around[1])
        rows, cols = np.unravel_index(places[seen.slices], (height, width))
        return set(zip((rows // block).ravel(), (cols // block).ravel(), strict=True))

    tiles = [tile for tile in grid if wanted[tile.row, tile.column]]
    expected = {at for tile in tiles for at in looked_at(tile) if damaged[at]}
    cut = data.draw(st.integers(1, grid.columns))
    for swaths in ([range(grid.columns)], [range(cut), range(cut, grid.columns)]):
        told = set()
        for swath in filter(len, swaths):
            reader = BandReader(
                DamagedReader(values, block, damaged),
                grid,
                swath,
                bands=1,
                promising=lambda tile: bool(wanted[tile.row, tile.column]),
                around=around,
            )
            told |= {lost for row in range(grid.rows) for lost in reader.read(row)[1]}
        assert {(lost.row_off // block, lost.col_off // block) for lost in told} == expected
