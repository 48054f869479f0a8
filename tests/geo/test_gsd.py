"""Metres on the ground, whatever the CRS says a unit is."""

import math

import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox

from geohier.geo.gsd import gsd_m, pixel_size_m

SHAPE = (100, 80)


@given(st.floats(-65, 65), st.floats(0, 360), st.sampled_from([-1, 1]))
def test_turning_or_flipping_a_grid_does_not_change_its_pixels(
    latitude: float, angle: float, sign: int
) -> None:
    zone = 32631 if latitude >= 0 else 32731
    northing = latitude * 110_900 + (0 if latitude >= 0 else 10_000_000)
    affine = (
        Affine.translation(500_000, northing) @ Affine.rotation(angle) @ Affine.scale(2, sign * 3)
    )

    height, width = pixel_size_m(GeoBox(SHAPE, affine, f"EPSG:{zone}"))

    assert height == pytest.approx(3, rel=1e-3)
    assert width == pytest.approx(2, rel=1e-3)


@given(st.floats(-80, 80))
def test_web_mercator_shrinks_with_latitude(latitude: float) -> None:
    y = 6_378_137 * math.log(math.tan(math.pi / 4 + math.radians(latitude) / 2))
    affine = Affine.translation(0, y) @ Affine.scale(1, -1) @ Affine.translation(-40, -50)

    found = gsd_m(GeoBox(SHAPE, affine, "EPSG:3857"))

    assert found == pytest.approx(math.cos(math.radians(latitude)), rel=0.01)


def test_degrees_are_metres_on_the_ground() -> None:
    affine = Affine.translation(10, 60) @ Affine.scale(1e-5, -1e-5)

    height, width = pixel_size_m(GeoBox(SHAPE, affine, "EPSG:4326"))

    assert height == pytest.approx(1.114, abs=0.002)
    assert width == pytest.approx(0.558, abs=0.002)


def test_feet_are_metres_too() -> None:
    affine = Affine.translation(1_000_000, 200_000) @ Affine.scale(1, -1)

    assert gsd_m(GeoBox(SHAPE, affine, "EPSG:2263")) == pytest.approx(0.3048, rel=1e-3)


@pytest.mark.parametrize(
    ("affine", "crs"),
    [
        (Affine.identity(), None),
        (Affine.identity(), 'LOCAL_CS["drawing board",UNIT["metre",1]]'),
        (Affine.translation(1e9, 1e9), "EPSG:32631"),
    ],
)
def test_without_a_place_on_earth_nothing_is_known(affine: Affine, crs: str | None) -> None:
    assert gsd_m(GeoBox(SHAPE, affine, crs)) is None
