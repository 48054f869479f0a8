import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geohier.data.labelled import inside
from geohier.data.splits import block_split, blocks_of, grown, subtract
from geohier.errors import ConfigError
from geohier.geo.window import Window

sides = st.integers(1, 200)
windows = st.builds(
    Window,
    row_off=st.integers(-20, 60),
    col_off=st.integers(-20, 60),
    height=st.integers(1, 50),
    width=st.integers(1, 50),
)
CANVAS = Window(row_off=-40, col_off=-40, height=180, width=180)


def counted(parts: tuple[Window, ...], canvas: Window) -> np.ndarray:
    """Return how many parts cover each pixel of a canvas."""
    total = np.zeros((canvas.height, canvas.width), int)
    for part in parts:
        total += inside(canvas, [part])
    return total


@given(sides, sides, st.integers(5, 64))
def test_blocks_cover_each_pixel_once_without_slivers(height: int, width: int, side: int) -> None:
    blocks = blocks_of(height, width, side)
    canvas = Window(row_off=0, col_off=0, height=height, width=width)
    assert (counted(blocks, canvas) == 1).all()
    assert sum(block.height * block.width for block in blocks) == height * width
    for block in blocks:
        assert block.height >= min(height, side // 2)
        assert block.width >= min(width, side // 2)
        assert block.height <= 2 * side
        assert block.width <= 2 * side


@given(st.lists(windows, max_size=4), st.lists(windows, max_size=4))
def test_subtracting_windows_is_subtracting_their_pixels(
    kept: list[Window], holes: list[Window]
) -> None:
    left = counted(subtract(kept, holes), CANVAS)
    expected = np.where(inside(CANVAS, holes), 0, counted(tuple(kept), CANVAS))
    np.testing.assert_array_equal(left, expected)


@given(
    st.dictionaries(st.sampled_from("abcd"), st.tuples(sides, sides), min_size=1),
    st.floats(0.05, 0.6),
    st.integers(0, 5),
    st.integers(0, 2**32 - 1),
)
def test_fit_never_touches_a_choose_block_nor_its_buffer(
    shapes: dict[str, tuple[int, int]], share: float, buffer_px: int, seed: int
) -> None:
    blocks = {name: blocks_of(*shape, 32) for name, shape in shapes.items()}
    try:
        splits = block_split(blocks, share=share, buffer_px=buffer_px, seed=seed)
    except ConfigError:
        return
    for name, (height, width) in shapes.items():
        canvas = Window(row_off=0, col_off=0, height=height, width=width)
        fit = counted(splits[name].fit, canvas)
        near = inside(canvas, [grown(block, buffer_px) for block in splits[name].choose])
        np.testing.assert_array_equal(fit, ~near)
        assert set(splits[name].choose) <= set(blocks[name])


@given(st.integers(2, 60), st.integers(2, 60), st.floats(0.05, 0.5), st.integers(0, 1000))
def test_each_scene_gives_about_its_share_of_blocks(
    first: int, second: int, share: float, seed: int
) -> None:
    blocks = {"a": blocks_of(8, 8 * first, 8), "b": blocks_of(8, 8 * second, 8)}
    splits = block_split(blocks, share=share, buffer_px=0, seed=seed)
    counts = {name: len(split.choose) for name, split in splits.items()}
    assert sum(counts.values()) == max(1, round(share * (first + second)))
    for name, count in counts.items():
        assert abs(count - sum(counts.values()) * len(blocks[name]) / (first + second)) <= 2


def test_the_seed_decides_which_blocks_are_chosen() -> None:
    blocks = {"a": blocks_of(64, 640, 32)}
    draws = [block_split(blocks, share=0.15, buffer_px=0, seed=seed) for seed in (0, 0, 1)]
    assert draws[0] == draws[1] != draws[2]


def test_one_block_cannot_be_shared_out() -> None:
    with pytest.raises(ConfigError, match="1 block cannot be shared out"):
        block_split({"a": blocks_of(30, 30, 32)}, share=0.15, buffer_px=0, seed=0)


def test_buffers_that_eat_everything_are_refused() -> None:
    with pytest.raises(ConfigError, match="leave nothing to fit on"):
        block_split({"a": blocks_of(64, 64, 32)}, share=0.15, buffer_px=99, seed=0)


def test_blocks_stay_within_the_windows_of_a_split() -> None:
    part = Window(row_off=10, col_off=5, height=40, width=20)
    blocks = blocks_of(64, 64, 32, [part])
    canvas = Window(row_off=0, col_off=0, height=64, width=64)
    np.testing.assert_array_equal(counted(blocks, canvas), inside(canvas, [part]))
