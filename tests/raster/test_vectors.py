"""Vector files are whole or absent, and hold what was written."""

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import geopandas
import pyogrio
import pytest
import shapely

from geohier.errors import ConfigError, ResourceError
from geohier.raster.vectors import DRIVERS, write_vectors


def frame(*boxes: shapely.Polygon, crs: str | None = "EPSG:32631") -> Any:  # noqa: ANN401 - geopandas is untyped
    return geopandas.GeoDataFrame({"class_id": range(len(boxes))}, geometry=list(boxes), crs=crs)


BOXES = (shapely.box(500_000, 0, 500_010, 20), shapely.box(500_010, 0, 500_030, 20))


@pytest.mark.parametrize("suffix", DRIVERS)
def test_what_is_written_is_read_back_by_anyone(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / "new" / f"roofs{suffix}"
    write_vectors(frame(*BOXES), path)
    found = geopandas.read_file(path)
    areas = found.to_crs("EPSG:32631").area.round()
    assert dict(zip(found.class_id, areas, strict=True)) == {0: 200, 1: 400}
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_a_geojson_is_in_degrees_and_turns_left(tmp_path: Path) -> None:
    write_vectors(frame(BOXES[0].reverse()), tmp_path / "a.geojson")
    [found] = geopandas.read_file(tmp_path / "a.geojson").geometry
    assert found.bounds == pytest.approx((3, 0, 3.00009, 0.00018), abs=1e-5)
    assert found.exterior.is_ccw


@pytest.mark.parametrize("suffix", [".gpkg", ".fgb", ".geojson"])
def test_equal_features_give_equal_bytes_and_none_are_no_problem(
    tmp_path: Path, suffix: str
) -> None:
    for name in "ab":
        write_vectors(frame(*BOXES), tmp_path / name / f"x{suffix}")
    first, second = ((tmp_path / name / f"x{suffix}").read_bytes() for name in "ab")
    assert first == second
    write_vectors(frame(), tmp_path / f"none{suffix}")
    assert len(geopandas.read_file(tmp_path / f"none{suffix}")) == 0


def test_what_does_not_read_back_as_it_was_gets_no_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_vectors(frame(*BOXES), tmp_path / "a.gpkg")
    before = (tmp_path / "a.gpkg").read_bytes()
    short, whole = frame(*BOXES[:1]), pyogrio.write_dataframe
    monkeypatch.setattr(pyogrio, "write_dataframe", lambda _, *to, **how: whole(short, *to, **how))
    with pytest.raises(ResourceError, match="1 of 2 features"):
        write_vectors(frame(*BOXES), tmp_path / "a.gpkg")
    assert (tmp_path / "a.gpkg").read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["a.gpkg"]


def test_names_and_places_that_no_format_has_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"ends in \.gpkg, \.fgb"):
        write_vectors(frame(*BOXES), tmp_path / "a.shp")
    with pytest.raises(ConfigError, match="no CRS"):
        write_vectors(frame(*BOXES, crs=None), tmp_path / "a.geojson")
    write_vectors(frame(*BOXES, crs=None), tmp_path / "a.gpkg")


def test_a_folder_that_cannot_be_written_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="which is a file"):
        write_vectors(frame(*BOXES), tmp_path / "file" / "a.gpkg")


@contextmanager
def files_of_at_most(nbytes: int) -> Iterator[None]:
    """Let no file grow beyond so many bytes, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (nbytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


@pytest.mark.parametrize("suffix", [".gpkg", ".fgb", ".geojson"])
@pytest.mark.parametrize("nbytes", [1000, 50_000])
def test_a_full_disk_is_told_in_one_line_and_leaves_nothing(
    tmp_path: Path, suffix: str, nbytes: int
) -> None:
    many = frame(*(shapely.box(500_000 + at, 0, 500_001 + at, 1) for at in range(2000)))
    with files_of_at_most(nbytes), pytest.raises(ResourceError, match="cannot be") as told:
        write_vectors(many, tmp_path / f"a{suffix}")
    assert "\n" not in str(told.value)
    assert not [*tmp_path.iterdir()]


def test_what_crosses_the_antimeridian_is_cut_there_in_a_geojson(tmp_path: Path) -> None:
    both_sides, east = (shapely.box(x, 5e6, x + 2e5, 5e6 + 100) for x in (700_000, 850_000))
    write_vectors(frame(both_sides, east, crs="EPSG:32660"), tmp_path / "a.geojson")
    cut, whole = geopandas.read_file(tmp_path / "a.geojson").geometry
    assert [one.bounds[2] - one.bounds[0] < 3 for one in cut.geoms] == [True, True]
    assert whole.geom_type == "Polygon"
