"""Places on a raster: their classes, and the pixels at them."""

from collections.abc import Callable
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from labelled_fields import PLACE, point, write_places
from odc.geo.geobox import GeoBox

from geohier.errors import ConfigError, InputError, LabelError
from geohier.raster.reader import open_raster
from geohier.studies.feature_raster import FeatureRaster
from geohier.studies.place_pixels import CELL_PX, PlacePixels, pixels_at
from geohier.studies.places import read_labelled_places, read_places

Write = Callable[..., Path]
GRID = GeoBox((700, 800), PLACE, "EPSG:32631")


@pytest.fixture
def numbered(write_scene: Write) -> FeatureRaster:
    """Two bands that say the row and the column of a pixel, where the columns 600 to 619 lack."""
    values = np.stack(np.meshgrid(np.arange(700), np.arange(800), indexing="ij")).astype("int16")
    values[:, :, 600:620] = -1
    return FeatureRaster.of(open_raster(write_scene(values, transform=PLACE, nodata=-1)))


def where(pixels: PlacePixels, raster: FeatureRaster, place: int) -> set[tuple[int, int]]:
    """Return row and column of the pixels of a place, told by their features."""
    mean, std = (np.array([getattr(b, what) for b in raster.bands]) for what in ("mean", "std"))
    rows = pixels.features[pixels.places == place] * std + mean
    return {(int(row), int(column)) for row, column in rows.round()}


def block(row: int, column: int, height: int, width: int) -> set[tuple[int, int]]:
    return {(row + r, column + c) for r in range(height) for c in range(width)}


@pytest.mark.parametrize("crs", ["EPSG:32631", "EPSG:4326", "EPSG:3857"])
def test_a_point_is_its_pixel_and_a_polygon_all_pixels_inside(
    tmp_path: Path, numbered: FeatureRaster, crs: str
) -> None:
    shapes = [
        point(12, 700),
        shapely.MultiPoint([point(3, 4), point(500, 310)]),
        shapely.box(250, 250, 259, 262),
        shapely.box(40.1, 30.1, 40.3, 30.2),
    ]
    path = write_places(tmp_path / "four.gpkg", shapes, crs, kind=["a", "b", "a", "b"])
    places = read_labelled_places(path, numbered.source.geobox, "kind")
    pixels = pixels_at(places, numbered)
    found = [where(pixels, numbered, at) for at in range(4)]
    assert found == [{(12, 700)}, {(3, 4), (500, 310)}, block(250, 250, 12, 9), {(30, 40)}]
    assert [places.names[at] for at in places.classes] == ["a", "b", "a", "b"]


def test_a_radius_makes_discs_of_points(tmp_path: Path, numbered: FeatureRaster) -> None:
    path = write_places(tmp_path / "one.gpkg", [point(100, 100)])
    pixels = pixels_at(read_places(path, GRID, radius_m=15), numbered)
    rows, columns = np.array(sorted(where(pixels, numbered, 0))).T
    assert np.hypot(rows - 100, columns - 100).max() <= 1.5
    assert len(rows) == 9


@pytest.mark.parametrize(
    ("column", "names", "values", "classes"),
    [
        (["roof", "Tree", "tree"], ("roof", "Tree"), (), [0, 1, 1]),
        ([7, 3, 7], ("3", "7"), (3, 7), [1, 0, 1]),
        ([True, False, True], ("0", "1"), (0, 1), [1, 0, 1]),
        (["10", "9", None], ("10", "9"), (), [0, 1, -1]),
        ([2.5, None, 1.0], ("1", "2.5"), (1, 2.5), [1, -1, 0]),
    ],
)
def test_a_column_of_names_or_numbers_names_the_classes(
    tmp_path: Path, column: list, names: tuple, values: tuple, classes: list
) -> None:
    shapes = [point(row, 5) for row in range(3)]
    path = write_places(tmp_path / "three.gpkg", shapes, kind=column)
    found = read_labelled_places(path, GRID, "kind")
    assert (found.names, found.values, found.classes.tolist()) == (names, values, classes)
    assert any("1 features have no class" in note for note in found.notes) == (-1 in classes)


def test_what_is_outside_or_nodata_is_left_out_and_counted(
    tmp_path: Path, numbered: FeatureRaster
) -> None:
    shapes = [point(5, 5), point(5, 605), point(5, -9), point(900, 3), shapely.box(595, 9, 605, 10)]
    places = read_places(write_places(tmp_path / "five.gpkg", shapes), GRID)
    pixels = pixels_at(places, numbered)
    assert sorted(set(pixels.places.tolist())) == [0, 4]
    assert where(pixels, numbered, 4) == block(9, 595, 1, 5)
    notes = "\n".join(pixels.notes)
    assert "2 of 5 places lie outside the raster" in notes
    assert "6 pixels at places are nodata: left out (1 places wholly)" in notes


def test_places_that_others_cover_are_counted(tmp_path: Path, numbered: FeatureRaster) -> None:
    shapes = [point(5, 5), point(5, 7), point(5, 5)]
    path = write_places(tmp_path / "three.gpkg", shapes, kind=["a", "b", "b"])
    pixels = pixels_at(read_labelled_places(path, GRID, "kind"), numbered)
    assert sorted(pixels.places.tolist()) == [1, 2]
    assert any("1 places have no pixel that later ones leave" in note for note in pixels.notes)


def test_only_windows_around_the_places_are_read(
    tmp_path: Path, numbered: FeatureRaster, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    salvaged = numbered.reader.read_salvaged
    monkeypatch.setattr(
        numbered.reader, "read_salvaged", lambda window: seen.append(window) or salvaged(window)
    )
    shapes = [point(5, 5), point(9, 9), point(690, 790)]
    pixels_at(read_places(write_places(tmp_path / "three.gpkg", shapes), GRID), numbered)
    assert [(w.row_off, w.col_off, w.height, w.width) for w in seen] == [
        (0, 0, CELL_PX, CELL_PX),
        (512, 768, 188, 32),
    ]


def test_of_large_polygons_as_many_pixels_are_kept_and_small_ones_stay_whole(
    tmp_path: Path, numbered: FeatureRaster
) -> None:
    shapes = [shapely.box(0, 0, 590, 700), shapely.box(700, 9, 705, 13), point(2, 750)]
    places = read_places(write_places(tmp_path / "large.gpkg", shapes), GRID)
    pixels = pixels_at(places, numbered, most=900)
    assert np.bincount(pixels.places).tolist() == [300, 20, 1]
    rows, columns = np.array(sorted(where(pixels, numbered, 0))).T
    assert 320 < rows.mean() < 380
    assert 265 < columns.mean() < 325
    assert any("some of the pixels are taken, 321 in all" in note for note in pixels.notes)
    np.testing.assert_array_equal(pixels_at(places, numbered, most=900).features, pixels.features)


@pytest.mark.parametrize(
    ("columns", "attribute", "error", "says"),
    [
        ({"kind": ["a"], "id": [1]}, None, ConfigError, "its attributes are kind, id"),
        ({"kind": ["a"], "id": [1]}, "Kind", ConfigError, "no attribute Kind; its attributes are"),
        ({}, "kind", ConfigError, "it has no attributes"),
        ({"kind": [None], "id": [1]}, "kind", LabelError, "none of its 1 features has a class"),
    ],
)
def test_an_attribute_that_names_no_classes_is_refused(
    tmp_path: Path, columns: dict, attribute: str, error: type, says: str
) -> None:
    path = tmp_path / "one.geojson"
    geopandas.GeoDataFrame(columns, geometry=[shapely.Point(3.001, 45.13)], crs=4326).to_file(path)
    with pytest.raises(error, match=says):
        read_labelled_places(path, GRID, attribute)


def test_a_column_of_names_of_places_is_no_column_of_classes(tmp_path: Path) -> None:
    shapes = [point(row, 3) for row in range(150)]
    path = write_places(tmp_path / "many.gpkg", shapes, id=range(150))
    with pytest.raises(ConfigError, match="150 different values in 150 features"):
        read_labelled_places(path, GRID, "id")


def test_places_elsewhere_or_all_on_nodata_are_refused(
    tmp_path: Path, numbered: FeatureRaster
) -> None:
    away = write_places(tmp_path / "away.gpkg", [point(5, 5000)])
    with pytest.raises(LabelError, match="lie outside the image"):
        read_places(away, GRID)
    around = write_places(tmp_path / "around.gpkg", [point(-9, -9), point(900, 900)])
    with pytest.raises(LabelError, match="none of its 2 places has a valid pixel"):
        pixels_at(read_places(around, GRID), numbered)
    bare = write_places(tmp_path / "bare.gpkg", [point(5, 610)])
    with pytest.raises(LabelError, match="none of its 1 places has a valid pixel"):
        pixels_at(read_places(bare, GRID), numbered)


@pytest.mark.parametrize("wanted", [("2", "B02"), ("B02", "2")])
def test_bands_are_named_or_numbered_each_once(write_scene: Write, wanted: tuple) -> None:
    values = np.random.default_rng(0).integers(1, 9, (3, 40, 40)).astype("uint8")
    source = open_raster(write_scene(values, descriptions=("B02", "B02", "B04")))
    raster = FeatureRaster.of(source, wanted)
    assert raster.numbers == (("2", "1") if wanted[0] == "2" else ("1", "2"))
    assert raster.bands.names == ("band_2", "band_1")[:: 1 if wanted[0] == "2" else -1]
    for wrong in (("1", "blue"), ("4",), ("nir",)):
        with pytest.raises(ConfigError, match=r"names a band twice|no band"):
            FeatureRaster.of(source, wrong)


def test_of_many_bands_a_message_names_a_few(write_scene: Write) -> None:
    source = open_raster(write_scene(np.ones((100, 4, 4), "uint8")))
    with pytest.raises(ConfigError, match=r"which has 100: 1 2 \.\.\. 100, or 1 to 100$"):
        FeatureRaster.of(source, ("nir",))


def test_a_band_of_one_value_and_alpha_are_no_features(write_scene: Write) -> None:
    values = np.random.default_rng(0).integers(1, 200, (4, 40, 40)).astype("uint8")
    values[1] = 7
    values[3] = 255
    path = write_scene(values, descriptions=("red", "mask", "blue"))
    with rasterio.open(path, "r+") as file:
        file.colorinterp = [*file.colorinterp[:3], rasterio.enums.ColorInterp.alpha]
    raster = FeatureRaster.of(open_raster(path))
    assert raster.indexes == (0, 1, 2)
    assert "bands of one value tell nothing: mask" in raster.notes
    found = raster.standardised(values[:3].reshape(3, -1))
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(found.std(axis=0), [1, 0, 1], atol=1e-4)


def test_a_raster_without_a_valid_pixel_has_no_features(write_scene: Write) -> None:
    with pytest.raises(InputError, match="has no valid pixel"):
        FeatureRaster.of(open_raster(write_scene(np.zeros((2, 9, 9), "uint8"), nodata=0)))
