import math
from pathlib import Path

import geopandas
import numpy as np
import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox
from shapely.geometry import MultiPolygon, Point, Polygon, box

from geohier.errors import InputError
from geohier.geo.window import Window
from geohier.raster.aoi import AreaOfInterest, read_area

GRID = GeoBox((50, 60), Affine(10, 0, 500_000, 0, -10, 5_000_000), "EPSG:32631")


def write(path: Path, geometry: object, crs: str | None = "EPSG:32631") -> Path:
    geopandas.GeoDataFrame(geometry=[geometry], crs=crs).to_file(path)
    return path


@given(
    st.integers(0, 40), st.integers(0, 40), st.integers(1, 20), st.integers(1, 10), st.floats(0, 6)
)
def test_a_window_s_mask_is_the_whole_mask_cut_out(
    row: int, column: int, width: int, height: int, turn: float
) -> None:
    corners = [
        (500_300 + 180 * math.cos(turn + k), 4_999_750 + 160 * math.sin(turn + k)) for k in range(4)
    ]
    area = AreaOfInterest(geobox=GRID, polygons=Polygon(corners).buffer(0))
    whole = area.mask(Window(row_off=0, col_off=0, height=50, width=60))
    window = Window(row_off=row, col_off=column, height=height, width=width)
    np.testing.assert_array_equal(area.mask(window), whole[window.slices])
    assert area.touches(window) or not whole[window.slices].any()


def test_polygons_in_another_crs_land_on_the_same_pixels(tmp_path: Path) -> None:
    square = box(500_100, 4_999_800, 500_300, 4_999_900)
    here = read_area(write(tmp_path / "here.gpkg", square), GRID)
    degrees = geopandas.GeoSeries([square], crs="EPSG:32631").to_crs("EPSG:4326")[0]
    there = read_area(write(tmp_path / "there.geojson", degrees, "EPSG:4326"), GRID)
    window = Window(row_off=0, col_off=0, height=50, width=60)
    assert here.mask(window).sum() == 200
    np.testing.assert_array_equal(here.mask(window), there.mask(window))


def test_polygons_that_cross_themselves_are_mended(tmp_path: Path) -> None:
    """A bow tie, and a square that it crosses."""
    x, y = 500_100, 4_999_900
    bow_tie = Polygon([(x, y), (x + 100, y - 100), (x + 100, y), (x, y - 100)])
    crossing = MultiPolygon([bow_tie, box(x + 50, y - 100, x + 150, y)])
    area = read_area(write(tmp_path / "bow.gpkg", crossing), GRID)
    found = area.mask(Window(row_off=0, col_off=0, height=50, width=60))
    assert found[15, 12]
    assert not found[11, 14]
    assert found[12:18, 20:24].all()


@pytest.mark.parametrize(
    ("geometry", "message"),
    [
        (Point(500_100, 4_999_900), "holds no polygon"),
        (box(0, 0, 10, 10), "outside the raster"),
        (box(500_100, 4_999_800, math.inf, 4_999_900), "coordinates that are no place"),
    ],
)
def test_an_area_that_cannot_be_used_is_refused(
    tmp_path: Path, geometry: object, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        read_area(write(tmp_path / "area.gpkg", geometry), GRID)


def test_a_file_that_only_looks_like_vectors_never_reaches_gdal(tmp_path: Path) -> None:
    path = tmp_path / "area.vrt"
    path.write_text("<OGRVRTDataSource><SrcDataSource>/vsicurl/http://127.0.0.1/a.shp")
    with pytest.raises(InputError, match="not a vector file"):
        read_area(path, GRID)
