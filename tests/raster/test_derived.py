"""Bands that are computed while a source is read, whatever the source is made of."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st

from geohier.geo.bands import canonical
from geohier.geo.window import Window
from geohier.raster.band_choice import choose
from geohier.raster.mosaic import open_mosaic
from geohier.raster.reader import open_raster
from geohier.raster.source import PixelReader, PixelSource
from geohier.raster.stack import StackFile, open_stack

WriteScene = Callable[..., Path]
RATIO = "(nir - red) / (nir + red)"
SHAPE = (40, 60)
WHOLE = Window(row_off=0, col_off=0, height=SHAPE[0], width=SHAPE[1])
BLOCKS = {"tiled": True, "blockxsize": 16, "blockysize": 16}


def reader_of(source: PixelSource, *bands: tuple[str, str | None], **rules: object) -> PixelReader:
    """Return a reader of bands by name, and of those that a formula computes."""
    names = {canonical(band.name): at for at, band in enumerate(source.bands) if band.name}
    choice = choose(bands, names, len(source.bands))
    return choice.of(source).select(choice.indexes, **rules)  # type: ignore[arg-type]


def ratio_of(nir: np.ndarray, red: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        exact = (nir.astype("float64") - red) / (nir.astype("float64") + red)
    return np.where(np.isfinite(exact), exact, 0).astype("float32")


@pytest.fixture
def pixels() -> np.ndarray:
    """Random bytes with black pixels, over which red + nir is 0."""
    values = np.random.default_rng(0).integers(0, 255, (3, *SHAPE)).astype("uint8")
    values[:, 3:6, 10:30] = 0
    return values


@pytest.fixture
def scene(write_scene: WriteScene, pixels: np.ndarray) -> Path:
    return write_scene(pixels, "s.tif", descriptions=("B04", "green", "NIR"), **BLOCKS)


@given(
    row=st.integers(0, SHAPE[0] - 1), col=st.integers(0, SHAPE[1] - 1),
    height=st.integers(1, SHAPE[0]), width=st.integers(1, SHAPE[1]),
)  # fmt: skip
def test_a_window_of_a_computed_band_is_a_cut_of_the_whole(
    scene: Path, pixels: np.ndarray, row: int, col: int, height: int, width: int
) -> None:
    window = Window(row_off=row, col_off=col, height=height, width=width)
    window = window.clipped(height=SHAPE[0], width=SHAPE[1])
    rows, cols = window.slices
    hard = "log(nir + 2) ** 1.5 - exp(red / 100)"

    with open_raster(scene) as source:
        reader = reader_of(source, ("index", RATIO), ("green", None), ("hard", hard))
        part, whole = reader.read(window), reader.read(WHOLE)

    assert part.values.dtype == reader.dtype == np.float32
    np.testing.assert_array_equal(part.values, whole.values[:, rows, cols])
    np.testing.assert_array_equal(whole.values[0], ratio_of(pixels[2], pixels[0]))
    np.testing.assert_array_equal(whole.values[1], pixels[1])
    assert part.valid.all()


def test_a_large_window_is_computed_in_pieces_without_a_seam(write_scene: WriteScene) -> None:
    values = np.random.default_rng(0).integers(1, 9, (2, 300, 700)).astype("uint16")
    path = write_scene(values, descriptions=("red", "nir"))

    with open_raster(path) as source:
        whole = Window(row_off=0, col_off=0, height=300, width=700)
        found = reader_of(source, ("index", RATIO)).read(whole).values

    np.testing.assert_array_equal(found[0], ratio_of(values[1], values[0]))


def test_where_a_formula_has_no_value_the_band_is_0_and_the_pixel_stays_valid(
    write_scene: WriteScene, pixels: np.ndarray
) -> None:
    path = write_scene(pixels, descriptions=("red", "green", "nir"))

    with open_raster(path) as source:
        reader = reader_of(source, ("index", RATIO), ("root", "sqrt(green - 100)"))
        found = reader.read(WHOLE)

    black = (pixels[0] == 0) & (pixels[2] == 0)
    assert black.sum() >= 60
    assert (found.values[0][black] == 0).all()
    assert (found.values[1][pixels[1] < 100] == 0).all()
    assert found.valid.all()
    index, root = reader.notes
    assert index.startswith(f"index has no value in about {black.mean():.1%} of the pixels")
    assert root.startswith("root has no value in about")
    assert root.endswith("it counts as 0 there")


def test_too_large_a_value_is_no_value(write_scene: WriteScene) -> None:
    path = write_scene(np.full((1, 2, 2), 1e30, "float32"), descriptions=("red",))

    with open_raster(path) as source:
        found = reader_of(source, ("huge", "red * red")).read(
            Window(row_off=0, col_off=0, height=2, width=2)
        )

    assert (found.values == 0).all()


def test_formulas_see_physical_values_and_stored_bands_stay_as_they_are(
    write_scene: WriteScene, pixels: np.ndarray
) -> None:
    """Sentinel-2 since 2022: reflectance is (value - 1000) / 10000."""
    counts = pixels[:2].astype("uint16") * 20 + 1100
    path = write_scene(counts, descriptions=("red", "nir"))
    with rasterio.open(path, "r+") as file:
        file.scales, file.offsets = (1e-4, 1e-4), (-0.1, -0.1)

    with open_raster(path) as source:
        found = reader_of(source, ("red", None), ("index", RATIO)).read(WHOLE).values

    reflectance = counts * 1e-4 - 0.1
    np.testing.assert_array_equal(found[0], counts[0])
    np.testing.assert_allclose(
        found[1], ratio_of(reflectance[1], reflectance[0]), rtol=1e-5, atol=1e-6
    )


def test_bands_that_only_a_formula_names_decide_what_is_valid_too(
    write_scene: WriteScene, pixels: np.ndarray
) -> None:
    path = write_scene(pixels, descriptions=("red", "green", "nir"), nodata=77)

    with open_raster(path) as source:
        all_of = reader_of(source, ("green", None), ("index", RATIO)).read(WHOLE)
        any_of = reader_of(source, ("green", None), ("index", RATIO), valid="any").read(WHOLE)

    known = pixels != 77
    np.testing.assert_array_equal(all_of.valid, known.all(axis=0)[None])
    np.testing.assert_array_equal(any_of.valid, [known[1], known[0] & known[2]])


def test_formulas_reach_over_files_of_several_grids_and_types(
    write_scene: WriteScene, pixels: np.ndarray
) -> None:
    coarse = Affine(20, 0, 500_000, 0, -20, 5_000_000)
    height = np.random.default_rng(1).normal(300, 50, (1, 20, 30)).astype("float32")
    files = [
        StackFile(path=write_scene(pixels, "fine.tif", descriptions=("red", "green", "nir"))),
        StackFile(path=write_scene(height, "h.tif", transform=coarse), names=("height",)),
    ]

    with open_stack(files) as source:
        plain = source.select([0, 2, 3]).read(WHOLE).values
        reader = reader_of(source, ("index", "height * (nir + 1) / (red + 1)"))
        found = reader.read(WHOLE)

    red, nir, warped = plain.astype("float64")
    np.testing.assert_array_equal(found.values[0], (warped * (nir + 1) / (red + 1)).astype("f4"))
    assert "h.tif lies on another grid" in reader.notes[0]


def test_a_mosaic_computes_what_the_uncut_raster_does(
    write_scene: WriteScene, scene: Path, pixels: np.ndarray
) -> None:
    names = ("B04", "green", "NIR")
    right = Affine(10, 0, 500_250, 0, -10, 5_000_000)
    sheets = [
        write_scene(pixels[:, :, :25], "left.tif", descriptions=names),
        write_scene(pixels[:, :, 25:], "right.tif", descriptions=names, transform=right),
    ]

    with open_mosaic(sheets) as source, open_raster(scene) as uncut:
        bands = (("index", RATIO), ("nir", None))
        found, whole = (reader_of(one, *bands).read(WHOLE) for one in (source, uncut))

    np.testing.assert_array_equal(found.values, whole.values)
    np.testing.assert_array_equal(found.valid, whole.valid)


def test_what_cannot_be_decoded_of_an_input_is_invalid_in_what_is_computed(
    write_scene: WriteScene, pixels: np.ndarray
) -> None:
    path = write_scene(
        pixels,
        descriptions=("red", "green", "nir"),
        compress="deflate",
        interleave="band",
        **BLOCKS,
    )
    with rasterio.open(path) as file:
        start = int(file.get_tag_item("BLOCK_OFFSET_1_1", "TIFF", bidx=3))
    content = bytearray(path.read_bytes())
    content[start : start + 20] = b"?" * 20
    path.write_bytes(content)
    block = Window(row_off=16, col_off=16, height=16, width=16)

    with open_raster(path) as source:
        reader = reader_of(source, ("green", None), ("index", RATIO))
        found, lost = reader.read_salvaged(WHOLE)
        elsewhere = reader_of(source, ("green", None), ("index", "red - green"))
        untouched, none = elsewhere.read_salvaged(WHOLE)

    assert (lost, none) == ((block,), ())
    damaged = np.zeros(SHAPE, bool)
    damaged[block.slices] = True
    np.testing.assert_array_equal(found.valid[0], ~damaged)
    assert untouched.valid.all()


def test_a_source_says_what_it_computes_of_which_bands(scene: Path) -> None:
    with open_raster(scene) as source:
        swapped = choose([("index", RATIO)], {"nir": 0, "red": 2}, 3).of(source)
        straight = choose([("index", RATIO)], {"nir": 2, "red": 0}, 3).of(source)

        assert [band.name for band in straight.bands] == ["B04", "green", "NIR", "index"]
        assert straight.bands[3].formula == RATIO
        assert swapped.identity != straight.identity
        assert straight.files == source.files
        assert choose([("red", None)], {"red": 0}, 3).of(source) is source


def test_near_infrared_under_an_alpha_tag_is_data_where_a_formula_names_it(
    write_scene: WriteScene, pixels: np.ndarray
) -> None:
    bands = np.concatenate([pixels, (pixels[:1] > 127) * np.uint8(255)])
    path = write_scene(
        bands, descriptions=("red", "green", "blue", "nir"), photometric="RGB", alpha="YES"
    )

    with open_raster(path) as source:
        with_nir = reader_of(source, ("red", None), ("index", RATIO)).read(WHOLE)
        without = reader_of(source, ("red", None), ("index", "red - blue")).read(WHOLE)

    assert with_nir.valid.all()
    np.testing.assert_array_equal(without.valid[0], bands[3] > 0)
