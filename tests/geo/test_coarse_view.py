from hypothesis import given
from hypothesis import strategies as st

from geohier.geo.coarse_view import ENOUGH_PX, CoarseView
from geohier.geo.tiling import TileGrid


@st.composite
def views(draw: st.DrawFn) -> CoarseView:
    """Draw views of tiles whose sizes and steps are multiples of a stride."""
    stride = draw(st.integers(1, 16))
    size = stride * draw(st.integers(1, 10))
    overlap = stride * draw(st.integers(0, size // 2 // stride))
    grid = TileGrid(
        height=draw(st.integers(1, 300)),
        width=draw(st.integers(1, 600)),
        size=size,
        overlap=overlap,
        margin=draw(st.integers(0, overlap // 2)),
    )
    return CoarseView(factor=draw(st.integers(2, 8)), grid=grid, stride=stride)


@given(views())
def test_a_view_sees_its_tiles_and_enough_around_them_in_whole_cells(view: CoarseView) -> None:
    assert view.beyond >= (view.factor - 1) * view.grid.margin
    for tile in view.grid:
        seen, group = view.window(tile), view.group(tile)
        first, last = group[0].window, group[-1].window
        for side in (seen.row_off, seen.col_off, seen.height, seen.width):
            assert side % view.cell == 0
        assert tile in group
        for at, count, start, stop, begins, ends in (
            (
                (tile.row, tile.row),
                view.grid.rows,
                *(first.row_off, last.row_stop),
                *(seen.row_off, seen.row_stop),
            ),
            (
                (group[0].column, group[-1].column),
                view.grid.columns,
                *(first.col_off, last.col_stop),
                *(seen.col_off, seen.col_stop),
            ),
        ):
            before = view.beyond if at[0] else 0
            after = view.beyond if at[1] < count - 1 else 0
            assert start - before - view.cell < begins <= start - before
            assert stop + after <= ends < stop + after + view.cell
        rows, cols = view.around
        around = tile.window.grown(rows=rows, cols=cols)
        assert around.row_off <= seen.row_off
        assert around.col_off <= seen.col_off
        assert seen.row_stop <= around.row_stop
        assert seen.col_stop <= around.col_stop
        assert seen.height <= view.largest[0]
        assert seen.width <= view.largest[1]


@given(views())
def test_tiles_are_in_one_group_each_and_no_look_costs_more_than_a_tile_in_full(
    view: CoarseView,
) -> None:
    for row in range(view.grid.rows):
        groups = [view.group(tile) for tile in view.grid.row(row)]
        assert [tile for group in dict.fromkeys(groups) for tile in group] == [*view.grid.row(row)]
    high, wide = view.largest
    most = view.factor**2 * max(view.grid.size**2, ENOUGH_PX)
    assert view.together == 1 or high * wide <= most


@given(views())
def test_along_the_edge_of_the_raster_nothing_more_is_seen(view: CoarseView) -> None:
    first = view.window(view.grid.tile(0, 0))
    assert (first.row_off, first.col_off) == (0, 0)
    if len(view.grid) == 1:
        assert first.height < view.grid.size + view.cell
