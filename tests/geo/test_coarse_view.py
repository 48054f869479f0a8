from hypothesis import given
from hypothesis import strategies as st

from geohier.geo.coarse_view import CoarseView
from geohier.geo.tiling import TileGrid


@st.composite
def views(draw: st.DrawFn) -> CoarseView:
    """Draw views of tiles whose sizes and steps are multiples of a stride."""
    stride = draw(st.integers(1, 16))
    size = stride * draw(st.integers(1, 10))
    overlap = stride * draw(st.integers(0, size // 2 // stride))
    return CoarseView(
        factor=draw(st.integers(2, 8)),
        grid=TileGrid(
            height=draw(st.integers(1, 400)),
            width=draw(st.integers(1, 400)),
            size=size,
            overlap=overlap,
            margin=draw(st.integers(0, overlap // 2)),
        ),
        stride=stride,
    )


@given(views())
def test_a_view_sees_the_tile_and_enough_around_it_in_whole_cells(view: CoarseView) -> None:
    assert view.beyond >= (view.factor - 1) * view.grid.margin
    for tile in view.grid:
        seen, own = view.window(tile), tile.window
        for side in (seen.row_off, seen.col_off, seen.height, seen.width):
            assert side % view.cell == 0
        for place, count, start, stop, first, end in (
            (tile.row, view.grid.rows, own.row_off, own.row_stop, seen.row_off, seen.row_stop),
            (
                tile.column,
                view.grid.columns,
                own.col_off,
                own.col_stop,
                seen.col_off,
                seen.col_stop,
            ),
        ):
            before = view.beyond if place else 0
            after = view.beyond if place < count - 1 else 0
            assert start - before - view.cell < first <= start - before
            assert stop + after <= end < stop + after + view.cell
            assert start - view.reach <= first
            assert end <= stop + view.reach


@given(views())
def test_along_the_edge_of_the_raster_nothing_more_is_seen(view: CoarseView) -> None:
    first = view.window(view.grid.tile(0, 0))
    assert (first.row_off, first.col_off) == (0, 0)
    if len(view.grid) == 1:
        assert first.height < view.grid.size + view.cell
