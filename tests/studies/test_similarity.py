"""Similarity to places: as a raster, and as a ranked list."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely
from hypothesis import given
from hypothesis import strategies as st
from labelled_fields import PLACE, SHAPE, point, truth, values, write_places
from odc.geo.geobox import GeoBox
from pyproj import Transformer

from geohier.errors import ConfigError, InputError, OutputExistsError
from geohier.geo.window import Window
from geohier.raster.reader import open_raster
from geohier.studies.places import read_places
from geohier.studies.similar import Query, places_at, query, similar_places
from geohier.studies.similarity import map_similarity

Write = Callable[..., Path]
WHOLE = Window(row_off=0, col_off=0, height=SHAPE[0], width=SHAPE[1])


def at(row: int, column: int) -> tuple[float, float]:
    """Return the centre of a pixel in EPSG:32631."""
    return PLACE @ (column + 0.5, row + 0.5)


def asked(scene: Path, *pixels: tuple[int, int], **more: object) -> Query:
    source = open_raster(scene)
    return query(source, places_at([at(*one) for one in pixels], source.geobox, **more))


def test_a_place_is_like_itself_and_like_its_class_above_all(write_scene: Write) -> None:
    found, _ = asked(write_scene(values()), (10, 45)).similarity.read(WHOLE)
    assert found[10, 45] == pytest.approx(1, abs=1e-6)
    assert found[truth() == 1].min() > found[truth() != 1].max()
    assert (np.abs(found) <= 1).all()


@given(seed=st.integers(0, 2**16), gains=st.tuples(*[st.sampled_from([0.5, 3.0, 70.0])] * 3))
def test_the_units_of_a_band_change_no_similarity(
    write_scene: Write, seed: int, gains: tuple
) -> None:
    scene = values(seed).astype("float64")
    one, other = (
        asked(write_scene(scene * np.reshape(gain, (3, 1, 1)) + 5), (3, 4)).similarity.read(WHOLE)
        for gain in ((1, 1, 1), gains)
    )
    np.testing.assert_allclose(one[0], other[0], atol=1e-4)


def test_the_mean_of_places_counts_each_place_once(write_scene: Write, tmp_path: Path) -> None:
    """A large polygon of field and one pixel of water: the mean is halfway between theirs."""
    scene = write_scene(values())
    large = write_places(tmp_path / "two.gpkg", [shapely.box(0, 0, 25, 40), point(9, 80)])
    with open_raster(scene) as source:
        similarity = query(source, read_places(large, source.geobox)).similarity
    features = similarity.raster.standardised(values().reshape(3, -1)).reshape(*SHAPE, 3)
    mean = features[:40, :25].mean(axis=(0, 1)) / 2 + features[9, 80] / 2
    np.testing.assert_allclose(similarity.direction, mean / np.linalg.norm(mean), atol=1e-5)


def test_the_raster_of_similarity_holds_it_in_steps_and_keeps_nodata(
    write_scene: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = values()
    scene[0, 30:35, 7] = 255
    path = write_scene(scene, nodata=255)
    monkeypatch.setattr("geohier.studies.similarity.PART_PX", (16, 32))
    found = asked(path, (10, 45))
    steps: list[tuple[int, int]] = []
    done = map_similarity(
        found.similarity, tmp_path / "out.tif", progress=lambda *one: steps.append(one)
    )
    with rasterio.open(tmp_path / "out.tif") as file, rasterio.open(path) as image:
        stored = file.read(1)
        assert (file.transform, file.crs, file.nodata) == (image.transform, image.crs, 255)
        assert (file.scales, file.descriptions) == ((0.004,), ("similarity",))
    exact, _ = found.similarity.read(WHOLE)
    nothing = np.isnan(exact)
    assert nothing.sum() == 5
    np.testing.assert_array_equal(stored == 255, nothing)
    np.testing.assert_allclose(stored[~nothing] * 0.004, exact[~nothing].clip(0), atol=0.0021)
    assert steps[0] == (0, 5400)
    assert not done.up_to_date
    assert map_similarity(found.similarity, tmp_path / "out.tif").up_to_date
    with pytest.raises(OutputExistsError, match="made by another run"):
        map_similarity(asked(path, (10, 80)).similarity, tmp_path / "out.tif")
    with pytest.raises(ConfigError, match="is read for this result"):
        map_similarity(found.similarity, path, overwrite=True)


def test_a_run_that_was_stopped_goes_on_to_the_same_bytes(
    write_scene: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("geohier.studies.similarity.PART_PX", (16, 32))
    found = asked(write_scene(values()), (10, 45))

    def stop_half_way(done: int, whole: int) -> None:
        if done > whole / 2:
            raise KeyboardInterrupt

    map_similarity(found.similarity, tmp_path / "whole.tif")
    with pytest.raises(KeyboardInterrupt):
        map_similarity(found.similarity, tmp_path / "out.tif", progress=stop_half_way)
    assert not (tmp_path / "out.tif").exists()
    read: list[Window] = []
    reading = found.similarity.raster.reader.read_salvaged
    monkeypatch.setattr(
        found.similarity.raster.reader, "read_salvaged", lambda w: read.append(w) or reading(w)
    )
    map_similarity(found.similarity, tmp_path / "out.tif")
    assert 0 < len(read) < 12
    assert (tmp_path / "out.tif").read_bytes() == (tmp_path / "whole.tif").read_bytes()


def test_similar_places_are_of_the_class_and_apart(write_scene: Write) -> None:
    found = similar_places(asked(write_scene(values()), (10, 45)), 5, apart_m=70)
    assert [one.rank for one in found] == [1, 2, 3, 4, 5]
    assert {truth()[one.row, one.column] for one in found} == {1}
    likenesses = [one.similarity for one in found]
    assert likenesses == sorted(likenesses, reverse=True)
    spots = np.array([(10, 45), *((one.row, one.column) for one in found)])
    gaps = np.linalg.norm(spots[:, None] - spots[None], axis=2) + 99 * np.eye(6)
    assert gaps.min() >= 6.9
    for one in found:
        assert (one.x, one.y) == pytest.approx(at(one.row, one.column))
        assert one.lon == pytest.approx(3, abs=0.02)
        assert one.lat == pytest.approx(45.15, abs=0.02)


def test_all_of_a_given_polygon_is_left_out(write_scene: Write, tmp_path: Path) -> None:
    path = write_places(tmp_path / "most.gpkg", [shapely.box(0, 0, 90, 50)])
    with open_raster(write_scene(values())) as source:
        found = similar_places(query(source, read_places(path, source.geobox)), 99, apart_m=40)
    assert len(found) > 3
    assert min(one.row for one in found) >= 53


def test_degrees_and_a_radius_lead_to_the_same_place(write_scene: Write) -> None:
    scene = write_scene(values())
    grid = GeoBox(SHAPE, PLACE, "EPSG:32631")
    plain = places_at([at(10, 45)], grid)
    lon, lat = Transformer.from_crs(32631, "OGC:CRS84", always_xy=True).transform(*at(10, 45))
    assert similar_places(asked(scene, (10, 45)))[0].similarity > 0.9
    [shape] = places_at([(lon, lat)], grid, lonlat=True).features.shapes
    assert shape.equals(plain.features.shapes[0])
    wide = asked(scene, (10, 45), radius_m=30)
    assert plain.features.shapes[0].within(wide.places.features.shapes[0])
    assert wide.places.features.shapes[0].area == pytest.approx(9 * np.pi, rel=0.02)


def test_a_place_outside_is_refused_with_the_extent(write_scene: Write) -> None:
    grid = GeoBox(SHAPE, PLACE, "EPSG:32631")
    with pytest.raises(InputError, match=r"3,45 lies outside .* spans 500000 to .*--lonlat"):
        places_at([at(1, 1), (3, 45)], grid)
    with pytest.raises(InputError, match=r"spans 3 to 3\.01\d* and 45\.1\d* to 45\.15"):
        places_at([(9, 45)], grid, lonlat=True)
    with pytest.raises(InputError, match="500020,5000000 lies outside"):
        places_at([(500020, 5000000)], grid, lonlat=True)


def test_what_has_no_direction_is_refused(write_scene: Write) -> None:
    with pytest.raises(ConfigError, match="one band has not"):
        asked(write_scene(values()[:1]), (1, 1))
    flat = np.zeros((2, *SHAPE), "int16")
    flat[:, :30], flat[:, 30:] = 5, -5
    with pytest.raises(InputError, match="the mean of the places is that of the raster"):
        asked(write_scene(flat), (1, 1), (40, 1))


@pytest.mark.parametrize(("count", "apart_m"), [(0, None), (3, 0.0), (3, float("inf"))])
def test_counts_and_distances_that_cannot_be_are_refused(
    write_scene: Write, count: int, apart_m: float | None
) -> None:
    with pytest.raises(ConfigError):
        similar_places(asked(write_scene(values()), (1, 1)), count, apart_m)


def test_the_list_of_a_raster_whose_blocks_are_damaged_goes_on(
    write_scene: Write, tmp_path: Path
) -> None:
    path = write_scene(values(), tiled=True, blockxsize=16, blockysize=16, compress="deflate")
    with rasterio.open(path) as file:
        offset = int(file.tags(1, ns="TIFF").get("BLOCK_OFFSET_2_2") or 0) or _offset(path)
    data = bytearray(path.read_bytes())
    data[offset : offset + 12] = b"\xff" * 12
    path.write_bytes(data)
    found = asked(path, (10, 45))
    done = map_similarity(found.similarity, tmp_path / "out.tif")
    assert done.run.failures
    assert json.loads((tmp_path / "out.tif.run.json").read_text())["failures"]
    assert similar_places(found, 2)


def _offset(path: Path) -> int:
    with rasterio.open(path) as file:
        return int(file.get_tag_item("BLOCK_OFFSET_2_2", "TIFF", bidx=1))
