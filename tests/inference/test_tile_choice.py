import pytest
from hypothesis import given
from hypothesis import strategies as st

from geohier.errors import ConfigError
from geohier.geo.bands import Band, BandSet
from geohier.inference.tile_choice import LARGEST_REDUNDANCY, SIZES_PX, choose_grid
from geohier.models.card import ClassLabel, ModelCard


def card(stride: int = 1, **changes: object) -> ModelCard:
    bands = BandSet((Band(name="red", dtype="uint8", mean=0, std=1),))
    classes = (ClassLabel(name="no", color="#000000"), ClassLabel(name="yes", color="#ffffff"))
    return ModelCard(bands=bands, classes=classes, stride=stride, **changes)


@given(st.integers(0, 700), st.sampled_from([1, 4, 32, 128]))
def test_margins_are_kept_and_redundancy_is_bounded_where_a_size_allows_it(
    margin: int, stride: int
) -> None:
    grid = choose_grid(card(stride, margins_px={95: margin}), height=50_000, width=50_000)
    assert grid.size % stride == grid.step % stride == 0
    if grid.size < SIZES_PX[-1]:
        assert (grid.size / grid.step) ** 2 <= LARGEST_REDUNDANCY
    if 2 * margin + 2 * max(stride, 16) <= grid.size // 2:
        assert grid.margin == min(margin, 3 * grid.overlap // 8)
        assert grid.overlap >= 2 * margin


def test_the_smallest_tile_that_is_cheap_enough_is_taken() -> None:
    sizes = [
        choose_grid(card(32, margins_px={95: margin}), height=9000, width=9000).size
        for margin in (20, 56, 110, 200)
    ]
    assert sizes == [512, 768, 1536, 2560 if 2560 in SIZES_PX else 3072]


def test_a_raster_that_one_tile_holds_is_not_cut() -> None:
    grid = choose_grid(card(32, margins_px={95: 110}), height=500, width=300)
    assert (grid.size, len(grid)) == (512, 1)


@pytest.mark.parametrize(("narrow", "size"), [(20, 512), (700, 768), (1500, 1536), (9000, 1536)])
def test_tiles_are_no_larger_than_a_narrow_raster_needs(narrow: int, size: int) -> None:
    wide = choose_grid(card(32, margins_px={95: 110}), height=narrow, width=3_000_000)
    tall = choose_grid(card(32, margins_px={95: 110}), height=3_000_000, width=narrow)
    assert (wide.size, tall.size) == (size, size)


def test_a_tile_that_does_not_fit_the_memory_is_not_taken() -> None:
    grid = choose_grid(
        card(32, margins_px={95: 110}), height=9000, width=9000, fits=lambda size: size <= 1024
    )
    assert grid.size == 1024


def test_a_model_that_depends_on_its_tile_gets_the_tile_it_was_trained_on() -> None:
    model = card(32, tile_dependent=True, tile_size_px=300, margins_px={95: 400})
    assert choose_grid(model, height=9000, width=9000).size == 320


def test_what_a_user_says_is_done() -> None:
    grid = choose_grid(card(), height=900, width=900, size=100, overlap=30, blend="crop")
    assert (grid.size, grid.overlap, grid.margin, grid.ramp) == (100, 30, 15, 0)


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"size": 100}, "size of 100 px is no multiple of the model's stride of 32 px: choose 96"),
        ({"size": 96, "overlap": 10}, "overlap of 10 px"),
        ({"size": 64, "overlap": 64}, "choose an overlap from 0 to 32"),
        ({"blend": "feather"}, "'feather' is not known"),
    ],
)
def test_choices_that_do_not_fit_are_refused_with_a_way_out(
    choices: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        choose_grid(card(32), height=900, width=900, **choices)
