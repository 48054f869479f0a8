"""Bands of training scenes: chosen by name or number, or computed from others."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio

from geohier.config.schema import TrainConfig
from geohier.data.chips import fit_chips
from geohier.data.prepare import prepare
from geohier.errors import InputError
from geohier.geo.indices import INDICES
from geohier.geo.window import Window

AddScene = Callable[..., None]
MakeConfig = Callable[..., TrainConfig]
NAMES = ("B02", "B03", "B04", "B08")
WHOLE = Window(row_off=0, col_off=0, height=96, width=96)


@pytest.fixture
def image(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(500, 4000, (4, 96, 96), dtype="int16")


@pytest.fixture
def mask(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 2, (96, 96), dtype="uint8")


def test_indices_and_formulas_are_bands_like_others(
    add_scene: AddScene, make_config: MakeConfig, image: np.ndarray, mask: np.ndarray
) -> None:
    add_scene("a", image, mask, descriptions=NAMES)
    add_scene("b", image[[3, 2, 1]], mask, descriptions=("nir", "red", "green"), split="val")
    ratio = {"name": "ratio", "formula": "nir / (red + 1)"}

    data = prepare(make_config({"bands": ["nir", "ndvi", "NDWI", ratio]}))

    _, green, red, nir = image.astype("float64")
    expected = [nir, (nir - red) / (nir + red), (green - nir) / (green + nir), nir / (red + 1)]
    for scene in (*data.train, *data.val):
        np.testing.assert_array_equal(
            scene.read(WHOLE).values, np.stack(expected).astype("float32")
        )
    assert data.bands.names == ("B08", "ndvi", "ndwi", "ratio")
    assert data.bands.inputs == ("B08", "red", "green")
    ndvi = data.bands.bands[1]
    assert (ndvi.formula, ndvi.dtype) == (INDICES["ndvi"].formula, "float32")
    assert (ndvi.mean, ndvi.std) == pytest.approx((expected[1].mean(), expected[1].std()), rel=0.1)
    chip = fit_chips(data, make_config())[0]["image"]
    assert chip.shape == (4, 32, 32)
    assert chip.isfinite().all()


def test_a_band_of_the_file_goes_before_an_index_of_its_name(
    add_scene: AddScene, make_config: MakeConfig, image: np.ndarray, mask: np.ndarray
) -> None:
    add_scene("a", image, mask, descriptions=("red", "nir", "NDVI", "blue"))

    bands = prepare(make_config({"bands": ["ndvi"]})).bands

    assert [(band.name, band.formula) for band in bands] == [("NDVI", None)]


def test_bands_without_names_are_known_by_number_in_formulas(
    add_scene: AddScene, make_config: MakeConfig, image: np.ndarray, mask: np.ndarray
) -> None:
    add_scene("a", image, mask)

    (pixels,) = prepare(make_config({"bands": [1, {"sum": "band_1 + band_4"}]})).train

    expected = np.stack([image[1], image[0] + image[3]]).astype("float32")
    np.testing.assert_array_equal(pixels.read(WHOLE).values, expected)


def test_scenes_in_other_units_give_the_same_index(
    add_scene: AddScene,
    make_config: MakeConfig,
    data_folder: Path,
    image: np.ndarray,
    mask: np.ndarray,
) -> None:
    """Sentinel-2 before and after the offset of 2022: alike where only indices are read."""
    for name, added, offset in (("before", 0, 0.0), ("after", 1000, -0.1)):
        add_scene(name, image + np.int16(added), mask, descriptions=NAMES)
        with rasterio.open(data_folder / f"images/{name}.tif", "r+") as file:
            file.scales, file.offsets = (1e-4,) * 4, (offset,) * 4

    before, after = prepare(make_config({"bands": ["ndvi", "evi"]})).train

    np.testing.assert_allclose(before.read(WHOLE).values, after.read(WHOLE).values, atol=1e-5)
    with pytest.raises(InputError, match=r"band B04 has scale 0.0001 and offset -0.1, in the"):
        prepare(make_config({"bands": ["red", "ndvi"]}))


@pytest.mark.parametrize(
    ("bands", "says"),
    [
        (["ndmi"], r"ndmi = clip\(.*\), the bands are B02 B03 B04 B08: no swir16"),
        ([{"x": "VV - red"}], "x = VV - red, the bands are B02 B03 B04 B08: no VV"),
        (["red / nir"], r"asks for red / nir, the bands are .*: give names, .* \{name: ratio"),
        (["evi"], "evi is made for reflectances, but band B08 holds whole numbers .int16. and"),
    ],
)
def test_what_cannot_be_computed_is_refused(
    add_scene: AddScene,
    make_config: MakeConfig,
    image: np.ndarray,
    mask: np.ndarray,
    bands: list[object],
    says: str,
) -> None:
    add_scene("a", image, mask, descriptions=NAMES)
    with pytest.raises(InputError, match=says) as found:
        prepare(make_config({"bands": bands}))
    assert "images/a.tif: " in str(found.value)


def test_a_later_scene_without_an_input_is_refused(
    add_scene: AddScene, make_config: MakeConfig, image: np.ndarray, mask: np.ndarray
) -> None:
    add_scene("a", image, mask, descriptions=NAMES)
    add_scene("b", image[:3], mask, descriptions=NAMES[:3])
    with pytest.raises(
        InputError,
        match=r"b.tif: has the bands B02 B03 B04, but the first train scene has B04 nir: give",
    ):
        prepare(make_config({"bands": ["red", "ndvi"]}))


def test_pixels_without_a_value_are_trained_on_and_noted(
    add_scene: AddScene, make_config: MakeConfig, image: np.ndarray, mask: np.ndarray
) -> None:
    image[:, :, :10] = 0
    add_scene("a", image, mask, descriptions=NAMES)

    data = prepare(make_config({"bands": ["ndvi"]}))

    cut = data.train[0].read(WHOLE)
    assert cut.valid.all()
    assert (cut.values[0, :, :10] == 0).all()
    assert any(note.startswith("ndvi has no value in about 10.4% of") for note in data.notes)


@pytest.mark.shared
def test_ndvi_of_real_scenes_is_that_of_their_bands(shared_data: Path) -> None:
    root = shared_data / "s2_s1_lulc_terramesh"
    classes = {name: value for value, name in enumerate("abcdefghi", start=1)}
    config = {
        "root": root,
        "classes": classes,
        "image_columns": ["image", "s1", "dem"],
        "bands": ["ndvi", "ndwi", {"name": "slope", "formula": "elevation / (10 - VV)"}],
    }
    small = {"block_px": 64, "buffer_px": 8}
    data = prepare(TrainConfig.model_validate({"data": config, "training": small}))
    for scene in (*data.train, *data.val):
        window = Window(row_off=0, col_off=0, height=224, width=224)
        with (
            rasterio.open(root / "s2l2a" / f"{scene.scene.id}.tif") as s2,
            rasterio.open(root / "s1rtc" / f"{scene.scene.id}.tif") as s1,
            rasterio.open(root / "dem" / f"{scene.scene.id}.tif") as dem,
        ):
            green, red, nir = s2.read([3, 4, 8]).astype("float64")
            vv, height = s1.read(1).astype("float64"), dem.read(1).astype("float64")
        with np.errstate(all="ignore"):
            bands = [(nir - red) / (nir + red), (green - nir) / (green + nir), height / (10 - vv)]
        bands[:2] = [np.clip(band, -1, 1) for band in bands[:2]]
        expected = np.where(np.isfinite(bands), bands, 0).astype("float32")
        np.testing.assert_array_equal(scene.read(window).values, expected)
