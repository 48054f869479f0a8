"""What could not be read is told the same way however the work was cut."""

import json
from collections.abc import Callable
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import geopandas
import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import box
from small_models import COLOURS
from torch import nn

from geohier.geo.bands import Band, BandSet
from geohier.inference.options import PredictOptions
from geohier.inference.pipeline import Prediction, predict_raster
from geohier.models.card import ClassLabel, ModelCard
from geohier.raster.mosaic import open_mosaic
from geohier.raster.reader import open_raster
from geohier.raster.source import PixelSource

WriteScene = Callable[..., Path]
Open = Callable[[], PixelSource]

HEIGHT, WIDTH, BLOCK = 100, 150, 16
ORIGIN = Affine(10, 0, 500_000, 0, -10, 5_000_000)
BLOCKS = list(product(range(-(-HEIGHT // BLOCK)), range(-(-WIDTH // BLOCK))))

CARD = ModelCard(
    bands=BandSet(tuple(Band(name=name, dtype="uint8", mean=0, std=1) for name in COLOURS)),
    classes=tuple(ClassLabel(name=name, color="#000000") for name in "xyz"),
)
PIXELS = np.random.default_rng(0).integers(1, 250, (3, HEIGHT, WIDTH), dtype="uint8")


few = settings(max_examples=10)
"""Each example is four or five predictions."""


class StoppedError(Exception):
    """The run was interrupted."""


def record(out: Path) -> list[dict[str, int]]:
    failures = json.loads(out.with_name(f"{out.name}.run.json").read_text())["failures"]
    return [failure["unreadable_block"] for failure in failures]


def labels_of(out: Path) -> np.ndarray:
    with rasterio.open(out) as raster:
        return raster.read(1)


def spoil(path: Path, row: int, column: int) -> None:
    """Overwrite the compressed bytes of a block."""
    with rasterio.open(path) as raster:
        start = int(raster.get_tag_item(f"BLOCK_OFFSET_{column}_{row}", "TIFF", bidx=1))
    content = bytearray(path.read_bytes())
    content[start + 2 : start + 40] = b"\xff" * 38
    path.write_bytes(content)


def cut_in_all_ways(
    folder: Path, open_source: Open, data: st.DataObject, **changes: object
) -> tuple[Prediction, list[list[dict[str, int]]]]:
    """Predict unbroken, interrupted here and there, and in swaths; return what each left out."""
    chosen = {"size": 32, "overlap": data.draw(st.sampled_from([0, 8, 14])), "device": "cpu"}
    options = {**chosen, "precision": "fp32", **changes}

    def predict(name: str, progress: object = None, **more: object) -> Prediction:
        with open_source() as source:
            return predict_raster(
                source,
                folder / name,
                nn.Identity(),
                card=CARD,
                options=PredictOptions(**options, **more),
                progress=progress,
            )

    def stop(done: int, total: int) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise StoppedError

    whole = predict("whole.tif")
    for _ in range(2):
        left = [data.draw(st.integers(0, len(whole.plan.grid)))]
        try:
            predict("broken.tif", stop)
        except StoppedError:
            continue
    predict("broken.tif")
    little = whole.plan.memory_bytes * data.draw(st.sampled_from([0.9, 0.95])) / 2**30
    assert len(predict("swaths.tif", memory_gb=little).plan.swaths) > 1
    outs = [folder / name for name in ("whole.tif", "broken.tif", "swaths.tif")]
    for out in outs[1:]:
        np.testing.assert_array_equal(labels_of(out), labels_of(outs[0]))
    return whole, [record(out) for out in outs]


@few
@given(st.sets(st.sampled_from(BLOCKS), min_size=1, max_size=12), st.data())
def test_damaged_blocks_are_each_listed_once(
    write_scene: WriteScene, damaged: set[tuple[int, int]], data: st.DataObject
) -> None:
    scene = write_scene(PIXELS, tiled=True, blockxsize=BLOCK, blockysize=BLOCK, compress="deflate")
    for row, column in damaged:
        spoil(scene, row, column)
    expected = [
        {
            "row_off": BLOCK * row,
            "col_off": BLOCK * column,
            "height": min(BLOCK, HEIGHT - BLOCK * row),
            "width": min(BLOCK, WIDTH - BLOCK * column),
        }
        for row, column in sorted(damaged)
    ]
    with TemporaryDirectory() as folder:
        whole, found = cut_in_all_ways(Path(folder), lambda: open_raster(scene), data)
    assert found == [expected] * 3
    assert [dict(fact)["unreadable_block"] for fact in whole.run.failures] == expected


@few
@given(
    st.sets(st.sampled_from(BLOCKS), max_size=12),
    st.lists(
        st.tuples(st.integers(0, HEIGHT - 9), st.integers(0, WIDTH - 9)), min_size=1, max_size=3
    ),
    st.data(),
)
def test_damage_that_no_tile_of_the_area_looks_at_is_not_listed(
    write_scene: WriteScene,
    damaged: set[tuple[int, int]],
    corners: list[tuple[int, int]],
    data: st.DataObject,
) -> None:
    scene = write_scene(PIXELS, tiled=True, blockxsize=BLOCK, blockysize=BLOCK, compress="deflate")
    for row, column in damaged:
        spoil(scene, row, column)
    shapes = [
        box(*(ORIGIN @ (column, row + 8)), *(ORIGIN @ (column + 8, row))) for row, column in corners
    ]
    with TemporaryDirectory() as name:
        folder = Path(name)
        geopandas.GeoDataFrame(geometry=shapes, crs="EPSG:32631").to_file(folder / "area.gpkg")
        _, (whole, broken, swaths) = cut_in_all_ways(
            folder, lambda: open_raster(scene), data, aoi=folder / "area.gpkg"
        )
    assert whole == broken == swaths
    listed = {(one["row_off"] // BLOCK, one["col_off"] // BLOCK) for one in whole}
    inside = {
        (row // BLOCK, column // BLOCK)
        for top, left in corners
        for row, column in product((top, top + 7), (left, left + 7))
    }
    assert damaged & inside <= listed <= damaged


@few
@given(st.floats(0.3, 0.95), st.data())
@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_what_lies_below_the_damage_of_a_png_is_one_block(
    tmp_path: Path, share: float, data: st.DataObject
) -> None:
    scene = tmp_path / "scene.png"
    shape = {"count": 3, "height": HEIGHT, "width": WIDTH, "dtype": "uint8"}
    with rasterio.open(scene, "w", driver="PNG", **shape) as file:
        file.write(PIXELS)
    scene.write_bytes(scene.read_bytes()[: int(share * scene.stat().st_size)])

    def opened() -> PixelSource:
        return open_raster(scene, allow_ungeoreferenced=True)

    with TemporaryDirectory() as folder:
        _, found = cut_in_all_ways(Path(folder), opened, data)
        lost = (labels_of(Path(folder, "whole.tif")) == 255).all(axis=1)
    first = int(lost.argmax())
    assert lost[first:].all()
    assert not lost[:first].any()
    block = {"row_off": first, "col_off": 0, "height": HEIGHT - first, "width": WIDTH}
    assert found == [[block]] * 3


@few
@given(st.sets(st.sampled_from(BLOCKS), max_size=12), st.booleans(), st.data())
def test_damage_in_overlapping_sheets_is_listed_where_it_counts(
    write_scene: WriteScene, damaged: set[tuple[int, int]], last_first: bool, data: st.DataObject
) -> None:
    tiles = {"tiled": True, "blockxsize": BLOCK, "blockysize": BLOCK, "compress": "deflate"}
    cuts = {"left.tif": (0, 0, HEIGHT, 97), "right.tif": (5, 60, HEIGHT, WIDTH)}
    paths = []
    for name, (top, left, bottom, right) in cuts.items():
        pixels = PIXELS[:, top:bottom, left:right]
        at = ORIGIN @ Affine.translation(left, top)
        paths.append(write_scene(pixels, name, transform=at, **tiles))
        for row, column in damaged:
            if row * BLOCK < bottom - top and column * BLOCK < right - left:
                spoil(paths[-1], row, column)
    if last_first:
        paths.reverse()
    with TemporaryDirectory() as folder:
        _, (whole, broken, swaths) = cut_in_all_ways(Path(folder), lambda: open_mosaic(paths), data)
        lost = labels_of(Path(folder, "whole.tif")) == 255
    assert whole == broken == swaths
    assert len({tuple(block.values()) for block in whole}) == len(whole)
    lost[:5, 97:] = False  # where no sheet lies
    for block in whole:
        rows = slice(block["row_off"], block["row_off"] + block["height"])
        cols = slice(block["col_off"], block["col_off"] + block["width"])
        lost[rows, cols] = False
    assert not lost.any(), "what is lost is listed"
