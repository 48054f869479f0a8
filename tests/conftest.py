"""Fixtures and strategies that all tests share."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import HealthCheck, settings

settings.register_profile(
    "quick",
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.register_profile(
    "ci", parent=settings.get_profile("quick"), max_examples=200, derandomize=True
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))

# A shell starts what runs in its background with SIGINT ignored, and every process under it
# inherits that: tests that interrupt one would wait for ever.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

WriteScene = Callable[..., Path]

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a power cut tells a file that reached the disk from one that did not: save the time."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the labelled scenes; tests that ask for it are skipped where it is absent."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the labelled scenes are not here (docs/data.md says how to get them)")
    return folder


@pytest.fixture
def write_scene(tmp_path: Path) -> WriteScene:
    """Return a function that writes a `(C, H, W)` array as a GeoTIFF and returns its path."""

    def write(
        values: np.ndarray,
        name: str = "scene.tif",
        *,
        transform: Affine | None = None,
        crs: str | None = "EPSG:32631",
        descriptions: tuple[str, ...] = (),
        **profile: object,
    ) -> Path:
        path = tmp_path / name
        transform = transform or Affine(10, 0, 500_000, 0, -10, 5_000_000)
        count, height, width = values.shape
        shape = {"count": count, "height": height, "width": width, "dtype": values.dtype.name}
        place = {"crs": crs, "transform": transform}
        with rasterio.open(path, "w", driver="GTiff", **shape, **place, **profile) as target:
            target.write(values)
            for band, description in enumerate(descriptions, start=1):
                target.set_band_description(band, description)
        return path

    return write
