from hypothesis import given
from hypothesis import strategies as st

from geohier.geo.coarse_view import CoarseView

views = st.builds(
    CoarseView,
    factor=st.integers(2, 8),
    size=st.integers(1, 80),
    stride=st.integers(1, 16),
    margin=st.integers(0, 30),
)


@given(views, st.integers(0, 60))
def test_a_view_sees_the_tile_and_enough_around_it_in_whole_cells(
    view: CoarseView, cells: int
) -> None:
    offset = cells * view.stride
    start, stop = view.start(offset), view.start(offset) + view.side
    assert start % view.cell == view.side % view.cell == 0
    assert view.beyond >= (view.factor - 1) * view.margin
    assert start <= offset - view.beyond
    assert offset + view.size + view.beyond <= stop
    assert offset - view.reach <= start
    assert stop <= offset + view.size + view.reach


@given(views)
def test_no_view_is_a_whole_cell_larger_than_it_must_be(view: CoarseView) -> None:
    assert view.side < view.size + 2 * view.beyond + 2 * view.cell
    starts = range(0, view.cell, view.stride)
    ends = [view.start(at) + view.side - (at + view.size + view.beyond) for at in starts]
    assert min(ends) < view.cell
