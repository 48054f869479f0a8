"""Regions of a raster as polygons."""

import numpy as np
import pytest
import rasterio.features
import shapely
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from geohier.raster.regions import Region, RegionTracer

NODATA = -1
NUMBERS = arrays(
    np.int32, array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.integers(NODATA, 2)
)


def traced(values: np.ndarray, height: int, smallest_px: int = 1) -> list[Region]:
    tracer = RegionTracer(NODATA, smallest_px)
    strips = [values[at : at + height] for at in range(0, len(values), height)]
    return [*(one for strip in strips for one in tracer.add(strip)), *tracer.finish()]


def outlines(regions: list[Region]) -> set[tuple[int, bytes]]:
    return {(one.value, shapely.to_wkb(shapely.normalize(one.polygon))) for one in regions}


@given(NUMBERS, st.integers(1, 12))
def test_regions_do_not_depend_on_how_the_raster_was_cut(values: np.ndarray, height: int) -> None:
    assert outlines(traced(values, height)) == outlines(traced(values, len(values)))


@given(NUMBERS, st.integers(1, 12))
def test_each_pixel_lies_in_the_one_region_of_its_number(values: np.ndarray, height: int) -> None:
    regions = traced(values, height)

    found, seen = np.full(values.shape, NODATA), np.zeros(values.shape, int)
    for one in regions:
        inside = rasterio.features.rasterize([one.polygon], values.shape, dtype="uint8") == 1
        found[inside] = one.value
        seen += inside
    np.testing.assert_array_equal(found, values)
    assert seen.max() <= 1
    assert sum(one.polygon.area for one in regions) == np.sum(values != NODATA)


@given(NUMBERS, st.integers(1, 12))
def test_regions_are_valid_and_apart_wherever_they_only_touch_at_corners(
    values: np.ndarray, height: int
) -> None:
    regions = traced(values, height)
    assert all(one.polygon.is_valid for one in regions)
    for value in {one.value for one in regions}:
        same = [one.polygon for one in regions if one.value == value]
        assert shapely.union_all(same).area == sum(one.area for one in same)
        tree = shapely.STRtree(same)
        first, second = tree.query(same, predicate="intersects")
        for at, other in zip(first, second, strict=True):
            if at != other:
                assert shapely.intersection(same[at], same[other]).length == 0


@given(NUMBERS, st.integers(1, 12), st.integers(1, 6))
def test_small_regions_are_left_out_wherever_they_lie(
    values: np.ndarray, height: int, smallest: int
) -> None:
    large = [one for one in traced(values, height) if one.polygon.area >= smallest]
    assert outlines(traced(values, height, smallest)) == outlines(large)


def test_a_ring_across_seams_keeps_its_hole_and_what_lies_in_it() -> None:
    values = np.full((9, 9), NODATA, np.int32)
    values[1:8, 1:8], values[2:7, 2:7], values[4, 4] = 1, NODATA, 1
    ring, island = sorted(traced(values, 2), key=lambda one: -one.polygon.area)
    assert (ring.polygon.area, len(ring.polygon.interiors)) == (24, 1)
    assert len(ring.polygon.exterior.coords) == 5
    assert island.polygon.equals(shapely.box(4, 4, 5, 5))


@pytest.mark.parametrize("height", [1, 3])
def test_two_arms_that_meet_below_are_one_region(height: int) -> None:
    values = np.array([[1, 0, 1], [1, 0, 1], [1, 1, 1], [0, 0, 0]], np.int32)
    found = traced(values, height)
    assert sorted((one.value, one.polygon.area) for one in found) == [(0, 2), (0, 3), (1, 7)]
