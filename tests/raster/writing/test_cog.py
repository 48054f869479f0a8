"""What the final files hold and say, whatever the raster."""

import json
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.errors import NotGeoreferencedWarning
from rio_cogeo import cog_validate

from geohier.errors import ConfigError, InputError, ResourceError
from geohier.raster import cog
from geohier.raster.layers import Layer, entropy_layer, labels_layer, probabilities_layer

ROTATED = Affine.translation(500_000, 5_000_000) @ Affine.rotation(15) @ Affine.scale(10, -7)
SOUTH_UP = Affine(10, 0, 500_000, 0, 10, 5_000_000)


@contextmanager
def reading(path: Path, **options: object) -> Iterator[rasterio.DatasetReader]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path, **options) as file:
            yield file


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 700), (700, 1), (513, 511), (1030, 520)])
def test_a_raster_of_any_size_is_a_valid_cog_of_what_was_written(
    make_job: Callable, tmp_path: Path, height: int, width: int
) -> None:
    job = make_job(height=height, width=width, rows=130)

    outputs = job.run(tmp_path / "map.tif").outputs

    for layer in job.layers:
        with rasterio.open(outputs[layer.name]) as file:
            np.testing.assert_array_equal(file.read(), job.values(layer))
        if width > 1:  # rasterio divides widths to find the factors of overviews: 1 / 1 is none
            assert cog_validate(str(outputs[layer.name]), strict=True) == (True, [], [])


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:3857", None])
@pytest.mark.parametrize("transform", [ROTATED, SOUTH_UP, Affine.scale(0.1, -0.1)])
def test_the_grid_is_kept(
    make_job: Callable, tmp_path: Path, transform: Affine, crs: str | None
) -> None:
    job = make_job(transform=transform, crs=crs)

    job.run(tmp_path / "map.tif")

    with rasterio.open(tmp_path / "map.tif") as file:
        assert file.transform.almost_equals(transform, precision=1e-12)
        assert file.crs == crs
        assert file.shape == (60, 50)


def test_a_raster_without_any_georeference_stays_so(make_job: Callable, tmp_path: Path) -> None:
    job = make_job(transform=Affine.identity(), crs=None)

    job.run(tmp_path / "map.tif")

    with reading(tmp_path / "map.tif") as file:
        assert file.transform == Affine.identity()
        assert file.crs is None


def test_a_crs_that_a_geotiff_cannot_hold_is_said_before_any_work(
    make_job: Callable, tmp_path: Path
) -> None:
    rotated_pole = (
        "+proj=ob_tran +o_proj=longlat +o_lat_p=40 +o_lon_p=0 +lon_0=10 "
        "+to_meter=0.0174532925199433 +type=crs"
    )

    with pytest.raises(InputError, match="cannot be kept in a GeoTIFF"):
        make_job(crs=rotated_pole).open(tmp_path / "map.tif")
    assert list(tmp_path.iterdir()) == []


def test_labels_carry_classes_colours_nodata_and_tags(make_job: Callable, tmp_path: Path) -> None:
    names = ["bare <soil>", "Wälder & Büsche", 'so-called "water"']
    layer = labels_layer(names, ["#ff0000", "#00ff00", None])
    target = make_job(layers=(layer,)).run(tmp_path / "map.tif").target

    with rasterio.open(target) as file:
        assert file.nodata == 255
        assert file.descriptions == ("labels",)
        assert file.colormap(1)[1] == (0, 255, 0, 255)
        assert file.colormap(1)[255][3] == 0
        assert file.tags()["model"] == "a"
        classes = json.loads(file.tags()["classification_classes"])
    assert [entry["name"] for entry in classes] == [*names, "nodata"]
    assert classes[0] == {"value": 0, "name": names[0], "color_hint": "FF0000"}
    table = re.search(rb'role="rat">.*?</GDALRasterAttributeTable>', target.read_bytes(), re.S)
    assert table is not None
    assert re.findall("<F>([^<]*)</F>", table[0].decode())[5:10] == [
        "1", "Wälder &amp; Büsche", "0", "255", "0",
    ]  # fmt: skip


def test_more_than_255_classes_fit(make_job: Callable, tmp_path: Path) -> None:
    layer = labels_layer([f"class {k}" for k in range(600)])
    job = make_job(layers=(layer,))

    job.run(tmp_path / "map.tif")

    with rasterio.open(tmp_path / "map.tif") as file:
        assert (file.dtypes, file.nodata) == (("uint16",), 65535)
        assert file.colormap(1)[599][:3] == tuple(
            bytes.fromhex((layer.class_colors or ())[599][1:])
        )
        np.testing.assert_array_equal(file.read(), job.values(layer))


def test_four_probabilities_are_neither_colours_nor_alpha(
    make_job: Callable, tmp_path: Path
) -> None:
    layer = probabilities_layer(["a", "b", "c", "d"])
    job = make_job(layers=(labels_layer(["a", "b", "c", "d"]), layer))

    outputs = job.run(tmp_path / "map.tif").outputs

    with rasterio.open(outputs["probabilities"]) as file:
        assert {kind.name for kind in file.colorinterp} <= {"gray", "undefined"}
        assert file.descriptions == ("a", "b", "c", "d")
        assert file.profile["interleave"] == "band"
        assert (set(file.scales), set(file.offsets)) == ({1 / 250}, {0.0})
        np.testing.assert_array_equal(file.read(), job.values(layer))


def test_overviews_pick_labels_and_average_the_rest(make_job: Callable, tmp_path: Path) -> None:
    job = make_job(
        height=700, width=600, rows=300, layers=(labels_layer(["a", "b"]), entropy_layer())
    )

    outputs = job.run(tmp_path / "map.tif").outputs

    found: dict[str, np.ndarray] = {}
    for layer in job.layers:
        with rasterio.open(outputs[layer.name], overview_level=0) as file:
            found[layer.name] = file.read(1)
    whole = job.values(job.layers[1])[0, 300:, 300:].astype(float)
    coarse = whole.reshape(200, 2, 150, 2).mean(axis=(1, 3))
    assert set(np.unique(found["labels"])) <= {0, 1, 255}
    assert np.abs(found["entropy"][150:, 150:] - coarse).max() <= 0.51


def test_equal_work_gives_equal_bytes_wherever_it_is_done(
    make_job: Callable, tmp_path: Path, digest: Callable[[Path], str]
) -> None:
    (tmp_path / "with space é").mkdir()

    here = make_job(rows=20).run(tmp_path / "map.tif")
    there = make_job(rows=7).run(tmp_path / "with space é" / "other #1.tif")

    for name in ("labels", "confidence"):
        assert digest(here.outputs[name]) == digest(there.outputs[name])


def test_creation_options_are_used(make_job: Callable, tmp_path: Path) -> None:
    make_job().run(tmp_path / "map.tif", creation_options={"compress": "lzw", "BLOCKSIZE": "128"})

    with rasterio.open(tmp_path / "map.tif") as file:
        assert (file.profile["compress"], file.profile["blockxsize"]) == ("lzw", 128)


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ({"TILING_SCHEME": "GoogleMapsCompatible"}, "TILING_SCHEME is not for results"),
        ({"COMPRESS": "JPEG"}, "COMPRESS=JPEG"),
        ({"BLOCKSIZE": "100"}, "BLOCKSIZE=100"),
    ],
)
def test_creation_options_that_change_the_result_are_refused_before_any_work(
    make_job: Callable, tmp_path: Path, option: dict[str, str], told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        make_job().open(tmp_path / "map.tif", creation_options=option)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_not_what_was_computed_gets_no_name(
    make_job: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One pixel of the finished copy differs."""
    honest = rasterio.shutil.copy

    def copy(source: Path, target: Path, **options: object) -> None:
        honest(source, target, **options)
        with rasterio.open(target, "r+", IGNORE_COG_LAYOUT_BREAK="YES") as file:
            block = file.read(1)
            block[41, 17] ^= 1
            file.write(block, 1)

    monkeypatch.setattr(cog.rasterio.shutil, "copy", copy)
    with make_job().open(tmp_path / "map.tif") as store:
        make_job().write(store)
        with pytest.raises(ResourceError, match=r"does not hold what was .*row_off=40"):
            store.finish({})
    assert not (tmp_path / "map.tif").exists()
    assert len(list((tmp_path / "map.tif.parts").glob("part-*.tif"))) == 6


def test_a_damaged_overview_is_noticed(make_job: Callable, tmp_path: Path) -> None:
    layer: Layer = labels_layer(["a", "b"])
    job = make_job(height=1100, width=600, rows=600, layers=(layer,))
    target = job.run(tmp_path / "map.tif").target
    with job.open(tmp_path / "again.tif") as store:
        job.write(store)
        parts = list(store._parts.values())
        with rasterio.open(target) as file:
            offset = int(file.get_tag_item("BLOCK_OFFSET_0_0", "TIFF", bidx=1, ovr=0))
        data = bytearray(target.read_bytes())
        data[offset : offset + 200] = bytes(200)
        target.write_bytes(data)

        with pytest.raises(ResourceError), cog.writing(target):
            cog.verify_cog(target, layer, job.geobox, parts)
