"""A small result to write, whole or in steps."""

import hashlib
import resource
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from geohier.geo.window import Window
from geohier.raster.layers import Layer, confidence_layer, labels_layer
from geohier.raster.parts import FinishedRun, PartStore, UpToDate, open_run

NORTH_UP = Affine(10, 0, 500_000, 0, -10, 5_000_000)


@dataclass(frozen=True, kw_only=True)
class Job:
    """A result that is known beforehand, written `rows` rows at a time."""

    height: int = 60
    width: int = 50
    rows: int = 20
    transform: Affine = NORTH_UP
    crs: str | None = "EPSG:32631"
    layers: tuple[Layer, ...] = (labels_layer(["land", "water", "road"]), confidence_layer())
    fingerprint: Mapping[str, object] = field(default_factory=lambda: {"model": "a"})
    seed: int = 0

    @property
    def geobox(self) -> GeoBox:
        return GeoBox((self.height, self.width), self.transform, self.crs)

    @property
    def windows(self) -> list[Window]:
        return [
            Window(
                row_off=row,
                col_off=0,
                height=min(self.rows, self.height - row),
                width=self.width,
            )
            for row in range(0, self.height, self.rows)
        ]

    def values(self, layer: Layer) -> NDArray[np.generic]:
        """Return the whole `(C, H, W)` array of a layer."""
        rng = np.random.default_rng([self.seed, len(layer.name)])
        high = 251 if layer.class_names is None else len(layer.class_names)
        values = rng.integers(0, high, size=(layer.count, self.height, self.width))
        values[:, : self.height // 3, : self.width // 4] = layer.nodata
        return values.astype(layer.dtype)

    def open(self, target: Path, **options: object) -> PartStore | UpToDate:
        return open_run(target, self.fingerprint, self.geobox, self.layers, **options)

    def write(self, store: PartStore, indexes: Sequence[int] | None = None) -> None:
        """Write the parts that are missing, or those of `indexes`."""
        wanted = range(len(self.windows)) if indexes is None else indexes
        for index in wanted:
            if index not in store.finished:
                window = self.windows[index]
                rows, cols = window.slices
                arrays = {layer.name: self.values(layer)[:, rows, cols] for layer in self.layers}
                store.write(index, window, arrays)

    def run(self, target: Path, **options: object) -> FinishedRun:
        """Do the whole job, or what is left of it."""
        store = self.open(target, **options)
        if isinstance(store, UpToDate):
            return store.run
        with store:
            self.write(store)
            return store.finish({"model": "a"})


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def make_job() -> type[Job]:
    return Job


@pytest.fixture
def digest() -> Callable[[Path], str]:
    return sha256


@pytest.fixture
def small_disk() -> Callable[[int], AbstractContextManager[None]]:
    """Return a context in which no file can grow beyond some bytes, as on a full disk."""

    @contextmanager
    def limited(nbytes: int) -> Iterator[None]:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (nbytes, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return limited
