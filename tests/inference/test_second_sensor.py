"""Scenes with a second sensor that may miss: what is read of them, and what is refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
import yaml
from affine import Affine
from small_models import CLASSES
from torch import Tensor, nn

from geohier.config.schema import TrainConfig
from geohier.data.chips import choose_chips, fit_chips
from geohier.data.labels import IGNORE_INDEX
from geohier.data.prepare import TrainingData, prepare
from geohier.errors import BandMismatchError, ConfigError, InputError
from geohier.geo.bands import Band, BandSet
from geohier.inference.options import PredictOptions
from geohier.inference.pipeline import predict_raster
from geohier.models.card import ModelCard
from geohier.models.stac import card_of, item_of

EXACT = {"device": "cpu", "precision": "fp32"}
SIDE = 64


def write(path: Path, values: np.ndarray, *names: str, **profile: object) -> Path:
    count, height, width = values.shape
    shape = {"count": count, "height": height, "width": width, "dtype": values.dtype.name}
    place = {"transform": Affine(10, 0, 500_000, 0, -10, 5_000_000), "crs": "EPSG:32631"}
    with rasterio.open(path, "w", driver="GTiff", **shape, **place, **profile) as target:
        target.write(values)
        for band, name in enumerate(names, start=1):
            target.set_band_description(band, name)
    return path


def optical(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 255, (2, SIDE, SIDE), dtype="uint8")


def radar(seed: int = 1) -> np.ndarray:
    """Return backscatter; its right half is nodata."""
    values = np.random.default_rng(seed).normal(5, 1, (2, SIDE, SIDE)).astype("float32")
    values[:, :, SIDE // 2 :] = np.nan
    return values


def scene(path: Path, *files: Path) -> Path:
    path.write_text(yaml.safe_dump({"files": [{"path": file.name} for file in files]}))
    return path


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    first = optical()
    first[:, :8] = 0
    return {
        "first": write(tmp_path / "s2.tif", first, "red", "nir", nodata=0),
        "second": write(tmp_path / "s1.tif", radar(), "VV", "VH"),
        "half": write(tmp_path / "half.tif", radar()[:1], "VV"),
        "unnamed": write(tmp_path / "unnamed.tif", optical()),
    }


class WhoSaw(nn.Module):
    """Answers with class 2 where the second sensor has seen a pixel, and with class 1 elsewhere."""

    def __init__(self, **changes: object) -> None:
        super().__init__()
        bands = (
            *(
                Band(name=name, dtype="uint8", mean=100, std=50, high=250)
                for name in ("red", "nir")
            ),
            *(Band(name=name, dtype="float32", mean=4, std=1, high=9) for name in ("VV", "VH")),
        )
        card = ModelCard(bands=BandSet(bands), classes=CLASSES, may_miss=("VV", "VH"))
        self.card = replace(card, **changes)  # type: ignore[arg-type]

    def forward(self, image: Tensor) -> Tensor:
        assert bool((image[:, :2] != 0).any())
        saw = (image[:, 2:] != 0).any(1).float()
        scores = image.new_zeros(len(image), 3, *image.shape[-2:])
        scores[:, 1], scores[:, 2] = 1 - saw, saw
        return 9 * scores


def mapped(source: Path, out: Path, model: WhoSaw, **options: object) -> tuple[np.ndarray, str]:
    chosen = PredictOptions(size=32, overlap=0, **EXACT, **options)  # type: ignore[arg-type]
    done = predict_raster(source, out, model, card=model.card, options=chosen)
    with rasterio.open(out) as file:
        return file.read(1), "; ".join(done.notes)


def test_a_pixel_is_mapped_where_the_first_sensor_saw_it(
    files: dict[str, Path], tmp_path: Path
) -> None:
    both = scene(tmp_path / "both.scene.yaml", files["first"], files["second"])
    found, notes = mapped(both, tmp_path / "map.tif", WhoSaw())
    assert (found[:8] == 255).all()
    assert (found[8:, : SIDE // 2] == 2).all()
    assert (found[8:, SIDE // 2 :] == 1).all()
    assert "mapped without" not in notes


@pytest.mark.parametrize("options", [{}, {"bands": ("nir", "red")}, {"valid": "any"}])
def test_a_scene_without_it_is_mapped_and_that_is_said(
    files: dict[str, Path], tmp_path: Path, options: dict[str, object]
) -> None:
    found, notes = mapped(files["first"], tmp_path / "map.tif", WhoSaw(), **options)
    assert (found[:8] == 255).all()
    assert (found[8:] == 1).all()
    assert "no VV VH in the scene: mapped without" in notes


def test_bands_without_names_tell_by_their_number(files: dict[str, Path], tmp_path: Path) -> None:
    found, notes = mapped(files["unnamed"], tmp_path / "map.tif", WhoSaw())
    assert (found == 1).all()
    assert "mapped without" in notes
    assert "bands are taken by their order: band 1 band 2" in notes


def test_what_may_not_miss_is_refused(files: dict[str, Path], tmp_path: Path) -> None:
    out, model = tmp_path / "map.tif", WhoSaw()
    half = scene(tmp_path / "half.scene.yaml", files["first"], files["half"])
    with pytest.raises(BandMismatchError, match="no VH; name the bands"):
        mapped(half, out, model)
    with pytest.raises(BandMismatchError, match="no red nir; name the bands"):
        mapped(files["second"], out, model)
    with pytest.raises(BandMismatchError, match="no VV VH; name the bands"):
        mapped(files["first"], out, WhoSaw(may_miss=()))
    assert BandMismatchError.exit_code == 4


def test_a_card_says_what_may_miss() -> None:
    card = WhoSaw().card
    item = item_of(card, architecture="a", parameters=1, weights="w")
    assert card_of(item) == card
    assert card.always_there.names == ("red", "nir")


@pytest.fixture
def labelled(files: dict[str, Path], tmp_path: Path) -> TrainConfig:
    """Two train scenes, the second of which lacks the second sensor."""
    mask = write(tmp_path / "mask.tif", optical(5)[:1] % 2)
    write(tmp_path / "other.tif", optical(3), "red", "nir")
    pairs = [
        {"image": ["s1.tif", "s2.tif"], "mask": mask.name, "id": "both"},
        {"image": "other.tif", "mask": mask.name, "id": "first"},
    ]
    values = {
        "data": {"root": tmp_path, "classes": {0: "a", 1: "b"}, "train": pairs},
        "model": {"decoder": "hierarchy", "hierarchy": {"second": {"bands": ["vv", "vh"]}}},
        "chips": {"size_px": 32, "per_epoch": 16},
        "training": {"block_px": 32, "buffer_px": 0},
    }
    return TrainConfig.model_validate(values)


def test_its_bands_come_last_and_chips_are_0_where_it_has_seen_nothing(
    labelled: TrainConfig,
) -> None:
    data: TrainingData = prepare(labelled)
    assert data.bands.names == ("red", "nir", "VV", "VH")
    fit = fit_chips(data, labelled)
    chips = [*choose_chips(data, labelled), *(fit[at] for at in range(16))]
    labelled_without = 0
    for chip in chips:
        blank, missing = ((part == 0).all(0) for part in chip["image"].split(2))
        assert bool(missing[blank].all())
        assert bool((chip["mask"][blank] == IGNORE_INDEX).all())
        if chip["scene"] == "first":
            assert bool(missing.all())
        labelled_without += int((chip["mask"][missing] != IGNORE_INDEX).sum())
    assert labelled_without > 0
    assert any(not bool((chip["image"][2:] == 0).all()) for chip in chips)


def test_statistics_of_it_are_those_of_what_it_has_seen(labelled: TrainConfig) -> None:
    bands = prepare(labelled).bands.bands
    assert [band.mean for band in bands[2:]] == pytest.approx([5, 5], abs=0.2)
    assert [band.std for band in bands[2:]] == pytest.approx([1, 1], abs=0.2)


def test_bands_that_no_scene_has_are_told(labelled: TrainConfig, tmp_path: Path) -> None:
    def asking(*bands: str) -> TrainConfig:
        values = labelled.model_dump(exclude={"data"})
        values["model"]["hierarchy"]["second"]["bands"] = bands
        return TrainConfig.model_validate({**values, "data": labelled.data})

    with pytest.raises(ConfigError, match=r"second.bands: hh of the bands VV VH red nir: no hh"):
        prepare(asking("hh"))
    with pytest.raises(ConfigError, match="none is left for the first"):
        prepare(asking("vv", "vh", "red", "nir"))
    write(tmp_path / "other.tif", radar(), "VV", "VH")
    with pytest.raises(InputError, match="has the bands VV VH, but the first train scene has red"):
        prepare(labelled)
