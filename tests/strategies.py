"""What laws are tried on."""

from hypothesis import strategies as st

from geohier.geo.tiling import TileGrid


@st.composite
def grids(draw: st.DrawFn, stride: int = 1, largest: int = 60) -> TileGrid:
    """Draw grids of any raster size, tile size, overlap and margin, in multiples of a stride."""
    size = stride * draw(st.integers(1, max(1, 24 // stride)))
    overlap = stride * draw(st.integers(0, size // 2 // stride))
    return TileGrid(
        height=draw(st.integers(1, largest)),
        width=draw(st.integers(1, largest)),
        size=size,
        overlap=overlap,
        margin=draw(st.integers(0, overlap // 2)),
    )
