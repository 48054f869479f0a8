"""Mean and deviation of a scene, from spots spread over it."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from geohier.raster.moments import SPOT_PX, Moments, _places, sample_moments
from geohier.raster.mosaic import open_mosaic
from geohier.raster.reader import open_raster

WriteScene = Callable[..., Path]
ORIGIN = Affine(10, 0, 500_000, 0, -10, 5_000_000)


def moments_of(path: Path) -> Moments:
    with open_raster(path) as source:
        found = sample_moments(source.select(range(len(source.bands))))
    assert found is not None
    return found


def uneven(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Two bands that get brighter downwards."""
    values = np.random.default_rng(seed).integers(1, 100, (2, height, width))
    return (values + np.linspace(0, 150, height).astype(int)[:, None]).astype("uint8")


pixels = st.integers(1, 40).flatmap(
    lambda count: arrays(np.int16, (2, count), elements=st.integers(-30_000, 30_000))
)


@given(one=pixels, other=pixels)
def test_moments_of_two_samples_are_those_of_both_together(
    one: np.ndarray, other: np.ndarray
) -> None:
    both = Moments.of(np.concatenate([one, other], axis=1))
    pooled = Moments.of(one) + Moments.of(other)
    assert pooled.count == both.count
    np.testing.assert_allclose(pooled.mean, both.mean, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(pooled.std, both.std, rtol=1e-6, atol=1e-3)


@given(length=st.integers(1, 200_000), spots=st.sampled_from([16, 64]))
def test_spots_lie_apart_inside_the_raster_and_cover_a_small_one(length: int, spots: int) -> None:
    places = list(_places(length, spots))
    assert len(places) <= spots
    assert places[0][0] >= 0
    assert sum(places[-1]) <= length
    assert all(start + side <= later for (start, side), (later, _) in pairwise(places))
    assert all(0 < side <= SPOT_PX for _, side in places)
    if length <= spots * SPOT_PX // 2:
        assert sum(side for _, side in places) == length


def test_a_small_scene_is_looked_at_whole(write_scene: WriteScene) -> None:
    values = uneven(300, 210)
    found = moments_of(write_scene(values))
    assert found.count == 300 * 210
    np.testing.assert_allclose(found.mean, values.mean(axis=(1, 2)))
    np.testing.assert_allclose(found.std, values.std(axis=(1, 2)))


def test_a_large_scene_is_looked_at_evenly(write_scene: WriteScene) -> None:
    values = uneven(4000, 1500)
    found = moments_of(write_scene(values))
    assert found.count < values[0].size / 4
    np.testing.assert_allclose(found.mean, values.mean(axis=(1, 2)), rtol=0.01)
    np.testing.assert_allclose(found.std, values.std(axis=(1, 2)), rtol=0.01)


def test_invalid_pixels_do_not_count(write_scene: WriteScene) -> None:
    values = uneven(128, 128)
    values[:, :50] = 0
    found = moments_of(write_scene(values, nodata=0))
    np.testing.assert_allclose(found.mean, values[:, 50:].mean(axis=(1, 2)))


def test_blocks_and_files_do_not_matter(write_scene: WriteScene) -> None:
    values = uneven(1300, 900)
    whole = moments_of(write_scene(values, "whole.tif"))
    tiled = moments_of(write_scene(values, "tiled.tif", tiled=True, blockxsize=256, blockysize=256))
    sheets = [
        write_scene(values[:, rows], f"{at}.tif", transform=ORIGIN @ Affine.translation(0, start))
        for at, (start, rows) in enumerate([(0, slice(0, 700)), (700, slice(700, 1300))])
    ]
    with open_mosaic(sheets) as source:
        cut = sample_moments(source.select([0, 1]))
    assert cut is not None
    for other in (tiled, cut):
        assert other.count == whole.count
        np.testing.assert_array_equal(other.mean, whole.mean)
        np.testing.assert_array_equal(other.std, whole.std)


def test_a_scene_that_is_nodata_nearly_everywhere_is_looked_at_again_more_densely(
    write_scene: WriteScene,
) -> None:
    """Of shares of 250 px the first spots see the middle 64: a corner of 60 px is between them."""
    values = np.zeros((1, 4000, 4000), "uint8")
    values[:, :60, :60] = np.random.default_rng(0).integers(1, 200, (60, 60))
    found = moments_of(write_scene(values, nodata=0, sparse_ok=True))
    assert found.count == 60 * 60
    np.testing.assert_allclose(found.mean, values[:, :60, :60].mean(axis=(1, 2)))


@pytest.mark.parametrize(
    ("values", "tells"),
    [
        (uneven(40, 40), True),
        (uneven(30, 30), False),
        (np.full((2, 100, 100), 7, "uint8"), False),
        (np.linspace(-1e302, 1e302, 20_000).reshape(2, 100, 100), False),
    ],
)
def test_few_pixels_or_one_value_tell_nothing(
    write_scene: WriteScene, values: np.ndarray, tells: bool
) -> None:
    assert moments_of(write_scene(values)).tell is tells


def test_without_a_valid_pixel_there_are_none(write_scene: WriteScene) -> None:
    path = write_scene(np.zeros((1, 100, 100), "uint8"), nodata=0)
    with open_raster(path) as source:
        assert sample_moments(source.select([0])) is None
