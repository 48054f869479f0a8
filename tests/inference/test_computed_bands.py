"""Models that read indices: what is computed for them, however the work is cut."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from geohier.errors import BandMismatchError, ModelError
from geohier.geo.bands import Band, BandSet
from geohier.geo.indices import INDICES
from geohier.inference.options import PredictOptions
from geohier.inference.pipeline import predict_raster
from geohier.models.card import ClassLabel, ModelCard

WriteScene = Callable[..., Path]
EXACT = {"precision": "fp32", "device": "cpu"}
NDVI = INDICES["ndvi"].formula
LOW, HIGH = 0.1234567, 0.4321098  # which no ratio of bytes is
CLASSES = (
    ClassLabel(name="bare", color="#aa7744"),
    ClassLabel(name="sparse", color="#88cc44"),
    ClassLabel(name="dense", color="#117711"),
)


def band(name: str, formula: str | None = None, **facts: object) -> Band:
    kind = "float32" if formula else "uint8"
    return Band(name=name, dtype=kind, mean=0, std=1, formula=formula, **facts)  # type: ignore[arg-type]


def card_of(*bands: Band) -> ModelCard:
    return ModelCard(bands=BandSet(bands), classes=CLASSES)


GREENNESS = card_of(band("red"), band("ndvi", NDVI))


class Steps(nn.Module):
    """Bare below an NDVI of LOW, dense above HIGH; reads the last band alone."""

    def forward(self, pixels: Tensor) -> Tensor:
        index = pixels[:, -1:]
        return torch.cat([LOW - index, torch.zeros_like(index), index - HIGH], dim=1)


class Smooth(nn.Module):
    """A mean over 5 x 5 pixels of both bands, and classes by it."""

    def forward(self, pixels: Tensor) -> Tensor:
        mean = nn.functional.avg_pool2d(pixels, 5, stride=1, padding=2, count_include_pad=False)
        return torch.cat([mean[:, :1] / 200, mean[:, 1:], 0.5 - mean[:, 1:]], dim=1)


def steps_of(red: np.ndarray, nir: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        ndvi = (nir.astype("float64") - red) / (nir.astype("float64") + red)
    ndvi = np.where(np.isfinite(ndvi), ndvi, 0)
    return np.digitize(ndvi, [LOW, HIGH])


def read(path: Path) -> np.ndarray:
    with rasterio.open(path) as raster:
        return raster.read(1)


@pytest.fixture
def pixels() -> np.ndarray:
    """Green, red and near infrared of 45 x 70 px; a corner is black."""
    values = np.random.default_rng(0).integers(1, 255, (3, 45, 70)).astype("uint8")
    values[:, :9, :9] = 0
    return values


@pytest.fixture
def scene(write_scene: WriteScene, pixels: np.ndarray) -> Path:
    return write_scene(pixels, descriptions=("B03", "Red", "B08"))


def predicted(scene: Path, target: Path, card: ModelCard = GREENNESS, **options: object) -> object:
    chosen = PredictOptions(**{"size": 32, "overlap": 8, **EXACT, **options})
    return predict_raster(scene, target, Steps(), card=card, options=chosen)


def test_an_index_is_computed_from_the_bands_that_its_formula_names(
    scene: Path, pixels: np.ndarray, tmp_path: Path
) -> None:
    predicted(scene, tmp_path / "map.tif")

    np.testing.assert_array_equal(read(tmp_path / "map.tif"), steps_of(pixels[1], pixels[2]))


def test_black_pixels_get_an_answer_and_are_noted(scene: Path, tmp_path: Path) -> None:
    """An index makes no holes in a map: 0 / 0 counts as an NDVI of 0, unless 0 is nodata."""
    found = predicted(scene, tmp_path / "map.tif")
    predicted(scene, tmp_path / "other.tif", card=card_of(band("red")))

    assert (read(tmp_path / "map.tif")[:9, :9] == 0).all()
    assert (read(tmp_path / "other.tif") != 255).all()
    assert any("ndvi has no value in about 2.6%" in note for note in found.notes)  # type: ignore[attr-defined]


def test_declared_nodata_of_any_input_is_nodata_in_the_map(
    write_scene: WriteScene, pixels: np.ndarray, tmp_path: Path
) -> None:
    scene = write_scene(pixels, descriptions=("green", "red", "nir"), nodata=0)

    predicted(scene, tmp_path / "map.tif", card=card_of(band("green"), band("ndvi", NDVI)))

    np.testing.assert_array_equal(read(tmp_path / "map.tif") == 255, pixels[0] == 0)


@given(st.integers(16, 40), st.integers(0, 8))
def test_computed_on_the_way_is_as_good_as_stored_before_however_the_raster_is_cut(
    write_scene: WriteScene, scene: Path, pixels: np.ndarray, size: int, overlap: int
) -> None:
    """So tiles leave no more trace than they do of a band of the file."""
    red, nir = pixels[1].astype("float64"), pixels[2]
    ratio = np.divide(nir - red, nir + red, out=np.zeros_like(red), where=nir + red > 0)
    stored = write_scene(np.stack([pixels[1], ratio]).astype("float32"), "stored.tif",
                         descriptions=("red", "ndvi"))  # fmt: skip
    options = PredictOptions(
        size=size, overlap=overlap, probabilities=True, overwrite=True, **EXACT
    )
    found = []
    for path, card in ((scene, GREENNESS), (stored, card_of(band("red"), band("ndvi")))):
        target = path.with_name(f"{path.stem}_map.tif")
        predict_raster(path, target, Smooth(), card=card, options=options)
        with rasterio.open(target.with_name(f"{target.stem}_probabilities.tif")) as raster:
            found.append(raster.read())

    np.testing.assert_array_equal(*found)


def test_bands_may_be_given_for_all_that_the_model_needs(
    write_scene: WriteScene, pixels: np.ndarray, tmp_path: Path
) -> None:
    """In the order of the model's own bands, then of those that only formulas name."""
    scene = write_scene(pixels)
    expected = steps_of(pixels[1], pixels[2])

    predicted(scene, tmp_path / "given.tif", bands=("2", "3"))
    swapped = predicted(scene, tmp_path / "swapped.tif", bands=("3", "2"))

    np.testing.assert_array_equal(read(tmp_path / "given.tif"), expected)
    np.testing.assert_array_equal(read(tmp_path / "swapped.tif"), steps_of(pixels[2], pixels[1]))
    assert swapped is not None
    with pytest.raises(BandMismatchError, match="names 1 bands, the model reads 2: red nir"):
        predicted(scene, tmp_path / "few.tif", bands=("1",))


def test_nameless_bands_are_taken_in_the_order_of_what_is_needed(
    write_scene: WriteScene, pixels: np.ndarray, tmp_path: Path
) -> None:
    scene = write_scene(pixels[1:], photometric="minisblack")

    found = predicted(scene, tmp_path / "map.tif")

    np.testing.assert_array_equal(read(tmp_path / "map.tif"), steps_of(pixels[1], pixels[2]))
    assert "bands are taken by their order: band 1 band 2" in found.notes  # type: ignore[attr-defined]


def test_bands_that_training_found_without_names_are_known_by_number(
    write_scene: WriteScene, pixels: np.ndarray, tmp_path: Path
) -> None:
    formula = "(band_3 - band_2) / (band_3 + band_2)"
    card = card_of(band("band_2"), band("index", formula))

    predicted(write_scene(pixels, photometric="minisblack"), tmp_path / "map.tif", card=card)

    np.testing.assert_array_equal(read(tmp_path / "map.tif"), steps_of(pixels[1], pixels[2]))


def test_a_band_that_only_a_formula_names_is_missed(
    write_scene: WriteScene, pixels: np.ndarray, tmp_path: Path
) -> None:
    scene = write_scene(pixels, descriptions=("green", "red", "blue"))

    with pytest.raises(BandMismatchError) as found:
        predicted(scene, tmp_path / "map.tif")

    assert found.value.exit_code == 4
    assert "bands are green red blue, the model reads red nir: no nir" in str(found.value)


def test_an_index_of_reflectances_is_refused_for_other_units(
    write_scene: WriteScene, pixels: np.ndarray, tmp_path: Path
) -> None:
    scene = write_scene(pixels, descriptions=("green", "red", "nir"))
    card = card_of(band("evi2", INDICES["evi2"].formula))

    with pytest.raises(ModelError, match="evi2 is made for reflectances, but band nir holds whole"):
        predicted(scene, tmp_path / "map.tif", card=card)
    predicted(scene, tmp_path / "forced.tif", card=card, force_scale=True)
    with rasterio.open(scene, "r+") as file:
        file.scales = (1 / 255,) * 3
    predicted(scene, tmp_path / "map.tif", card=card)

    assert (read(tmp_path / "map.tif") != read(tmp_path / "forced.tif")).any()


def test_an_index_may_be_far_from_what_was_trained_on_but_not_of_another_size(
    scene: Path, tmp_path: Path
) -> None:
    """Water has an NDVI below 0 and forest one near 1: a sign is no other unit."""
    water = card_of(band("ndvi", NDVI, low=-0.6, high=0.001))
    predicted(scene, tmp_path / "map.tif", card=water)

    tiny = card_of(band("ndvi", NDVI, low=-0.006, high=0.001))
    with pytest.raises(ModelError, match="values of band ndvi reach"):
        predicted(scene, tmp_path / "map2.tif", card=tiny)
