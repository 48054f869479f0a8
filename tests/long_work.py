"""A prediction that takes a second or more, so that it can be interrupted."""

import hashlib
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from processes import Command, Ended

from geohier.raster.layers import layer_path

LAYERS = ("labels", "confidence")


@dataclass(frozen=True, kw_only=True)
class Work:
    """A prediction of several parts and two layers."""

    scene: Path
    model: Path
    logs: Path

    def to(self, out: Path, *more: object, **limits: object) -> Command:
        """Start it, with its result going to `out` and more options, or other values of them."""
        where = {"--model": self.model, "--out": out}
        usual = where | {"--size": 64, "--overlap": 32, "--tta": "d4", "--device": "cpu"}
        kept = (word for pair in usual.items() if pair[0] not in more for word in pair)
        words = (self.scene, "--confidence", *kept, *more)
        return Command("predict", *words, logs=self.logs, **limits)

    def stopped(
        self,
        out: Path,
        *more: object,
        by: int = signal.SIGINT,
        restore: Callable[[], object] | None = None,
    ) -> Ended:
        """Do some more of it, then stop it by a signal.

        Where it was too quick for that, everything is put back as it was and done anew: by default,
        nothing was there.
        """
        while True:
            with self.to(out, *more) as command:
                command.wait_until(partial(has_more_parts, out, than=parts_of(out)))
                time.sleep(random.random() / 50)
                command.send(by)
                ended = command.wait()
            if ended.code != 0:
                return ended
            if restore is not None:
                restore()
                continue
            for path in out.parent.glob(f"{out.stem}*"):
                path.unlink()

    def done(self, out: Path, *more: object, **limits: object) -> Ended:
        """Do it, and wait for its end."""
        with self.to(out, *more, **limits) as command:
            return command.wait()


def write_scene(folder: Path) -> Path:
    """Write a scene of seven rows of tiles."""
    values = np.random.default_rng(0).integers(1, 200, size=(3, 250, 60), dtype="uint8")
    shape = {"count": 3, "height": 250, "width": 60, "dtype": "uint8", "driver": "GTiff"}
    place = {"crs": "EPSG:32631", "transform": Affine(10, 0, 500_000, 0, -10, 5_000_000)}
    with rasterio.open(folder / "scene.tif", "w", **shape, **place) as file:
        file.write(values)
        file.descriptions = ("red", "green", "blue")
    return folder / "scene.tif"


def parts_of(out: Path) -> int:
    """Return how many parts of a result are finished and listed."""
    listed = out.with_name(f"{out.name}.parts") / "parts.jsonl"
    return listed.read_bytes().count(b"\n") if listed.exists() else 0


def has_more_parts(out: Path, *, than: int) -> bool:
    return parts_of(out) > than


def digests(out: Path) -> list[str]:
    """Return the SHA-256 of each layer of a result."""
    paths = [layer_path(out, layer) for layer in LAYERS]
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
