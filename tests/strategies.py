"""What laws are tried on."""

from hypothesis import strategies as st

from geohier.geo.class_tree import ClassTree
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


@st.composite
def class_trees(draw: st.DrawFn, most: int = 12) -> ClassTree:
    """Draw trees of classes: leaves at any depth, in any order."""
    count = draw(st.integers(3, most))
    nodes: list[tuple[str, object]] = [(f"class {at}", f"class {at}") for at in range(count)]
    for level in range(draw(st.integers(1, 3))):
        groups = draw(st.integers(2, max(2, len(nodes) - 1)))
        where = [draw(st.integers(0, groups - 1)) for _ in nodes]
        merged: dict[int, list[tuple[str, object]]] = {}
        for node, group in zip(nodes, where, strict=True):
            merged.setdefault(group, []).append(node)
        if not 2 <= len(merged) < len(nodes):
            continue
        nodes = [
            inside[0] if len(inside) == 1 else (f"group {level} {at}", _content(inside))
            for at, inside in merged.items()
        ]
    if len(nodes) == count:
        nodes = [("all but one", _content(nodes[1:])), nodes[0]]
    names = draw(st.permutations([f"class {at}" for at in range(count)]))
    return ClassTree.of(dict(nodes), names)


def _content(inside: list[tuple[str, object]]) -> list[object]:
    return [name if name == content else {name: content} for name, content in inside]
