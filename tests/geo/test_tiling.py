import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import grids

from geohier.errors import TilingError
from geohier.geo.tiling import TileGrid, reflected


@given(grids())
def test_finished_rows_and_columns_follow_each_other_to_the_raster_s_end(grid: TileGrid) -> None:
    rows = [at for row in range(grid.rows) for at in grid.finished_rows(row)]
    columns = [at for column in range(grid.columns) for at in grid.finished_columns(column)]
    assert rows == list(range(grid.height))
    assert columns == list(range(grid.width))


@given(grids())
def test_a_tile_holds_what_it_finishes(grid: TileGrid) -> None:
    for tile in grid:
        rows, columns = grid.finished_rows(tile.row), grid.finished_columns(tile.column)
        assert tile.window.row_off <= rows.start < rows.stop <= tile.window.row_stop
        assert tile.window.col_off <= columns.start < columns.stop <= tile.window.col_stop


@given(grids(stride=4))
def test_tiles_start_on_multiples_of_the_stride(grid: TileGrid) -> None:
    assert all(tile.window.row_off % 4 == tile.window.col_off % 4 == 0 for tile in grid)


@given(grids())
def test_no_more_than_two_tiles_meet_along_an_axis(grid: TileGrid) -> None:
    for column in range(grid.width):
        holding = [t for t in grid.row(0) if t.window.col_off <= column < t.window.col_stop]
        assert 1 <= len(holding) <= 2


@given(st.integers(1, 9), st.integers(0, 8), st.integers(1, 30))
def test_reflecting_is_numpy_s_reflect_padding(length: int, start: int, extra: int) -> None:
    import numpy as np

    start = min(start, length - 1)
    mode = "reflect" if length > 1 else "edge"
    padded = np.pad(np.arange(length), (0, extra), mode=mode)
    assert reflected(start, length + extra, length) == padded[start:].tolist()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"overlap": 33}, "overlap of 33 px does not fit tiles of 64 px"),
        ({"overlap": -1}, "overlap of -1 px"),
        ({"size": 0}, "tiles of 0 px are empty"),
        ({"margin": 9}, "margin of 9 px does not fit an overlap of 16 px"),
        ({"height": 0}, "nothing to tile"),
    ],
)
def test_numbers_that_do_not_fit_are_refused_with_both_sides(
    changes: dict[str, int], message: str
) -> None:
    fitting = {"height": 100, "width": 100, "size": 64, "overlap": 16}
    with pytest.raises(TilingError, match=message):
        TileGrid(**{**fitting, **changes})
