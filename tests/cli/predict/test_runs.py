"""geohier predict: which runs go on, which are up to date, and what makes another one."""

import os
from collections.abc import Callable
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
import rasterio.shutil
from affine import Affine
from colour_scenes import NODATA, SHAPE, brightest, read, values
from shapely.geometry import box
from small_models import COLOURS, Echo

Write = Callable[..., Path]


def test_the_output_of_another_run_is_kept_unless_overwritten(
    predict: Callable, tmp_path: Path
) -> None:
    predict()
    first = (tmp_path / "map.tif").read_bytes()
    assert "up to date" in predict().out
    result = predict("--nodata", 7, code=2)
    assert "map.tif is there already and was made by another run" in result.err
    assert '(bands.blue.nodata was "None", now "7.0"): choose --overwrite' in result.err
    assert (tmp_path / "map.tif").read_bytes() == first
    predict("--nodata", 7, "--overwrite")
    assert (tmp_path / "map.tif").read_bytes() != first


def test_parts_of_another_run_are_kept_unless_restarted(
    predict: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("geohier.raster.store.PartStore.finish", interrupted)
        predict(code=130)
    result = predict("--size", 32, code=2)
    assert "tiles.size was 16, now 32" in result.err
    assert "choose --restart" in result.err
    predict("--size", 32, "--restart")
    assert {path.name for path in tmp_path.iterdir()} == {
        "scene.tif",
        "map.tif",
        "map.tif.run.json",
    }


def interrupted(*arguments: object) -> None:
    raise KeyboardInterrupt


def test_a_run_that_was_interrupted_makes_only_what_is_missing(
    predict: Callable, echo: Echo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("geohier.raster.store.PartStore.finish", interrupted)
        result = predict(code=130)
    assert result.err == "geohier: interrupted; run the same command again to go on\n"
    assert len(echo.seen) == 15
    journal = tmp_path / "map.tif.parts" / "parts.jsonl"
    journal.write_text("".join(journal.read_text().splitlines(keepends=True)[:2]))
    predict()
    assert len(echo.seen) == 15 + 10, "the last row of three, and the one that hands over to it"
    np.testing.assert_array_equal(read(tmp_path / "map.tif"), brightest(values()))


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        (("bands: [1, 2, 3]", "bands: [3, 2, 1]"), "reading.1.taken.1.number was 1, now 3"),
        (("bands: [1, 2, 3]", "bands: [1, 2, 3], nodata: 7"), "bands.blue.nodata"),
        (("[red, green, blue]", "[blue, green, red]"), "bands.blue.number"),
        (("nearest", "bilinear"), 'reading.2.resampling was "nearest", now "bilinear"'),
        (("bands: [2]", "bands: [1]"), "reading.2.taken.1.number was 2, now 1"),
    ],
)
def test_a_scene_file_that_is_read_otherwise_makes_another_map(
    changed: tuple[str, str], says: str, predict: Callable, write_scene: Write, tmp_path: Path
) -> None:
    coarse = Affine(20, 0, 500_000, 0, -20, 5_000_000)
    write_scene(values(), "first.tif")
    write_scene(values(1)[:2, :20, :30], "second.tif", transform=coarse)
    text = (
        "files:\n"
        "  - {path: first.tif, bands: [1, 2, 3], names: [red, green, blue]}\n"
        "  - {path: second.tif, bands: [2], names: [height], resampling: nearest}\n"
    )
    scene = tmp_path / "s.scene.yaml"
    scene.write_text(text)
    predict(of=scene)
    assert "up to date" in predict(of=scene).out
    assert changed[0] in text
    scene.write_text(text.replace(*changed))
    assert f"was made by another run ({says}" in predict(of=scene, code=2).err


def test_another_order_of_sheets_makes_another_map_where_they_overlap(
    predict: Callable, write_scene: Write, tmp_path: Path
) -> None:
    for name, seed in (("a.tif", 1), ("b.tif", 2)):
        write_scene(values(seed), name, descriptions=COLOURS)
    one, other = [tmp_path / "a.tif", tmp_path / "b.tif"], [tmp_path / "b.tif", tmp_path / "a.tif"]
    predict("--mosaic", of=one)
    assert "up to date" in predict("--mosaic", of=one).out
    said = f'reading.1.file was "{tmp_path / "a.tif"}", now "{tmp_path / "b.tif"}"'
    assert said in predict("--mosaic", of=other, code=2).err
    predict("--mosaic", "--overwrite", of=other)
    np.testing.assert_array_equal(read(tmp_path / "map.tif"), brightest(values(2)))


def put_mask(path: Path, hidden: tuple[slice, slice]) -> None:
    mask = np.full(SHAPE, 255, "uint8")
    mask[hidden] = 0
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False), rasterio.open(path, "r+") as file:
        file.write_mask(mask)


@pytest.mark.parametrize("of", ["raster", "vrt"])
def test_another_mask_beside_a_raster_makes_another_map(
    of: str, predict: Callable, scene: Path, tmp_path: Path
) -> None:
    put_mask(scene, np.s_[:5, :7])
    one = scene
    if of == "vrt":
        one = tmp_path / "view.vrt"
        rasterio.shutil.copy(scene, one, driver="VRT")
    predict(of=one)
    assert "up to date" in predict(of=one).out
    assert (read(tmp_path / "map.tif") == NODATA).sum() == 35
    before = scene.stat()
    put_mask(scene, np.s_[10:, :])
    os.utime(scene, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert f"inputs.{scene}.msk." in predict(of=one, code=2).err
    predict("--overwrite", of=one)
    assert (read(tmp_path / "map.tif")[10:] == NODATA).all()


NOTED = '<PAMDataset>{}<PAMRasterBand band="1">{}</PAMRasterBand></PAMDataset>'

STATISTICS = '<Metadata><MDI key="STATISTICS_MAXIMUM">9</MDI></Metadata>'


@pytest.mark.parametrize(
    ("xml", "says"),
    [
        (NOTED.format("", STATISTICS), None),
        (
            NOTED.format("", "<NoDataValue>7</NoDataValue>"),
            'bands.red.nodata was "None", now "7.0"',
        ),
        (
            NOTED.format('<Metadata><MDI key="NODATA_VALUES">7 8 9</MDI></Metadata>', ""),
            'reading.1.nodata_values was null, now "7 8 9"',
        ),
    ],
)
def test_what_is_noted_beside_a_raster_makes_another_map_only_where_it_counts(
    xml: str, says: str | None, predict: Callable, scene: Path
) -> None:
    """A viewer leaves statistics beside what it shows; they are no reason to start anew."""
    predict()
    scene.with_name("scene.tif.aux.xml").write_text(xml)
    if says is None:
        assert "up to date" in predict().out
    else:
        assert f"({says})" in predict(code=2).err


def test_a_shapefile_in_another_crs_is_another_area(
    predict: Callable, scene: Path, tmp_path: Path
) -> None:
    area = geopandas.GeoDataFrame(
        geometry=[box(500_000, 4_999_900, 500_100, 5_000_000)], crs="EPSG:32631"
    )
    area.to_file(tmp_path / "area.shp")
    predict("--aoi", tmp_path / "area.shp")
    assert "up to date" in predict("--aoi", tmp_path / "area.shp").out
    note = tmp_path / "area.prj"
    note.write_text(
        note.read_text().replace('"False_Easting",500000.0', '"False_Easting",499950.0')
    )
    result = predict("--aoi", tmp_path / "area.shp", code=2)
    assert f"area_of_interest.{note}.head_sha256 was" in result.err
