"""Weights by name: found on this machine, or fetched where that is allowed."""

import hashlib
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from geohier.errors import ConfigError, ModelError, ResourceError
from geohier.geo.bands import canonical
from geohier.models.published import FOLDER, Published, find, published

MOCO = "ResNet18_Weights.SENTINEL2_ALL_MOCO"


@pytest.fixture(autouse=True)
def empty_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Libraries that keep nothing yet, and no network."""
    monkeypatch.delenv(FOLDER, raising=False)
    monkeypatch.setattr("torch.hub.get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "models"))
    monkeypatch.setattr("huggingface_hub.file_download.constants.HF_HUB_OFFLINE", True)
    return tmp_path


def known(path: Path | None, start: str = "") -> Published:
    return Published(
        name="timm/small",
        bands=None,
        cached=lambda: path,
        fetch=lambda: pytest.fail("asked the network"),
        sha256_start=start,
    )


def test_what_torchgeo_publishes_is_known_with_bands_and_normalisation() -> None:
    found = published(MOCO)
    assert found.bands is not None
    assert found.bands.names[:4] == ("b1", "b2", "b3", "b4")
    assert found.bands.std == (10_000,) * 13
    assert found.sha256_start == "59bfdff9"


@pytest.mark.parametrize(
    ("name", "fifth"),
    [
        ("ResNet18_Weights.LANDSAT_TM_TOA_MOCO", "swir16"),
        ("ResNet18_Weights.LANDSAT_OLI_SR_MOCO", "nir08"),
    ],
)
def test_numbers_of_landsat_bands_mean_what_the_sensor_says(name: str, fifth: str) -> None:
    bands = published(name).bands
    assert bands is not None
    assert bands.names[4] == fifth


@pytest.mark.parametrize(
    ("name", "bands"),
    [
        ("Swin_V2_B_Weights.NAIP_RGB_MI_SATLAS", ("red", "green", "blue")),
        ("Unet_Weights.NAIP_RGBN_RESNET18_CHESAPEAKERSC", ("red", "green", "blue", "nir")),
        ("TileNet_Weights.NAIP_ALL_TILE2VEC", ("red", "green", "blue", "nir")),
        ("Swin_V2_B_Weights.LANDSAT_MI_SATLAS", ("coastal", "blue", "green", "red", "nir08")),
        ("ResNet50_Weights.SENTINEL2_MI_MS_SATLAS", ("red", "green", "blue", "rededge071")),
        ("ResNet50_Weights.SENTINEL1_ALL_MOCO", ("vv", "vh")),
    ],
)
def test_bands_are_known_by_their_common_names(name: str, bands: tuple[str, ...]) -> None:
    found = published(name).bands
    assert found is not None
    assert tuple(map(canonical, found.names))[: len(bands)] == bands


def test_weights_that_were_made_on_another_scale_bring_none() -> None:
    found = published("smp/xception.imagenet").bands
    assert found is not None
    assert found.mean is None


def test_what_timm_and_smp_publish_is_known() -> None:
    for name in ("timm/resnet18.a1_in1k", "smp/mit_b0.imagenet"):
        found = published(name)
        assert found.bands is not None
        assert found.bands.names == ("red", "green", "blue")
        assert found.bands.mean == pytest.approx((123.7, 116.3, 103.5), abs=0.1)
        assert found.cached() is None


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("ResNet18_Weights.SENTINEL2_ALL_MOC", MOCO),
        ("timm/resnet18.a1_in2k", "timm/resnet18.a1_in1k"),
        ("smp/mit_b0.imagnet", "smp/mit_b0.imagenet"),
    ],
)
def test_a_misspelt_name_is_refused_with_the_nearest(name: str, near: str) -> None:
    with pytest.raises(ConfigError, match=f"did you mean {near}"):
        published(name)


def test_weights_that_are_nowhere_are_not_fetched_unasked() -> None:
    with pytest.raises(ResourceError, match=r"GEOHIER_WEIGHTS as timm_small\.safetensors") as error:
        find(known(None))
    assert "--allow-download" in str(error.value)


def test_a_folder_of_weights_comes_before_the_library_s_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached = tmp_path / "cached.pth"
    cached.write_bytes(b"cached")
    assert find(known(cached)) == cached
    save_file({"a": torch.ones(1)}, tmp_path / "timm_small.safetensors")
    monkeypatch.setenv(FOLDER, str(tmp_path))
    assert find(known(cached, "00000000")) == tmp_path / "timm_small.safetensors"


def test_another_file_than_the_published_one_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    path.write_bytes(b"something")
    start = hashlib.sha256(b"something").hexdigest()[:8]
    assert find(known(path, start)) == path
    with pytest.raises(ModelError, match="is not the published file"):
        find(known(path, "00000000"))


def test_torch_s_cache_is_looked_into_by_a_name_that_cannot_clash(tmp_path: Path) -> None:
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    (folder / "resnet18_sentinel2_all_moco-59bfdff9.pth").touch()
    assert published(MOCO).cached() == folder / "resnet18_sentinel2_all_moco-59bfdff9.pth"
    plain = published("ResNet50_Weights.SENTINEL1_GRD_SOFTCON")
    (folder / "B2_rn50_softcon.pth").touch()
    assert plain.cached() is None
    (folder / "ResNet50_Weights.SENTINEL1_GRD_SOFTCON-B2_rn50_softcon.pth").touch()
    assert plain.cached() is not None


def test_a_fetch_that_fails_says_so_in_one_line() -> None:
    def fails() -> Path:
        raise RuntimeError("no route\nto host")

    weights = Published(name="timm/small", bands=None, cached=lambda: None, fetch=fails)
    with pytest.raises(ResourceError, match="timm/small could not be fetched: no route") as error:
        find(weights, allow_download=True)
    assert "\n" not in str(error.value)
