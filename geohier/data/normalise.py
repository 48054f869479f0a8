"""What a model needs to know of its training pixels: statistics of each band, and file hashes."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geohier.data.labelled import LabelledPixels
from geohier.data.sampling import RandomPlaces
from geohier.errors import InputError
from geohier.geo.bands import Band, BandSet
from geohier.geo.window import Window, intersection
from geohier.raster.moments import Moments
from geohier.raster.source import SourceBand

SAMPLES = 128
SAMPLE_PX = 128
"""128 windows of 128 px: two million pixels fix a mean to a thousandth of a deviation."""


def measure_bands(
    pixels: Sequence[LabelledPixels],
    places: RandomPlaces,
    names: Sequence[str],
    declared: Sequence[SourceBand],
    *,
    seed: int,
) -> BandSet:
    """Return mean, deviation and 2nd and 98th percentile of each band over the fit area.

    Args:
        pixels: scenes, with the bands already chosen.
        places: the fit area of the same scenes.
        names: names of the bands, in the model's order.
        declared: what the first scene's file says of each.
        seed: decides which pixels are looked at.

    Raises:
        InputError: no pixel is valid, or a band has one value everywhere.
    """
    rng = np.random.default_rng(seed)
    samples = np.concatenate([_sample(pixels, places, rng) for _ in range(SAMPLES)], axis=1)
    if samples.shape[1] == 0:
        raise InputError("the train scenes hold no valid pixel to measure: check their nodata")
    return BandSet(
        tuple(
            _measured(name, one, values)
            for name, one, values in zip(names, declared, samples, strict=True)
        )
    )


def _sample(
    pixels: Sequence[LabelledPixels], places: RandomPlaces, rng: np.random.Generator
) -> NDArray[np.generic]:
    """Return the valid pixels `(C, N)` of a window around one place, inside its part."""
    scene, part, row, col = places.point(rng)
    around = Window(
        row_off=row - SAMPLE_PX // 2,
        col_off=col - SAMPLE_PX // 2,
        height=SAMPLE_PX,
        width=SAMPLE_PX,
    )
    window = intersection(around, part)
    assert window is not None, "a part holds its own points"
    cut = pixels[scene].read(window)
    return pixels[scene].pixels_of(cut)


def _measured(name: str, declared: SourceBand, values: NDArray[np.generic]) -> Band:
    exact = values.astype(np.float64)
    if exact.min() == exact.max():
        raise InputError(
            f"band {name} is {exact[0]:g} in all train pixels looked at: leave it out of data.bands"
        )
    low, high = np.percentile(exact, (2, 98))
    return Band(
        name=name,
        dtype=declared.dtype,
        mean=float(exact.mean()),
        std=float(exact.std()),
        low=float(low),
        high=float(high),
        scale=declared.scale,
        offset=declared.offset,
        nodata=declared.nodata,
        formula=declared.formula,
    )


def own_statistics(bands: BandSet, moments: Moments | None) -> BandSet:
    """Return the bands with the mean and deviation of one scene in place of the train scenes'.

    A scene that says too little of itself, with few valid pixels or a band of one value, keeps
    those of the train scenes. Training and prediction both ask here, so that they agree.

    Args:
        bands: the model's bands, in file units.
        moments: those of the scene, in the same bands.
    """
    if moments is None or not moments.tell:
        return bands
    own = zip(bands, moments.mean.tolist(), moments.std.tolist(), strict=True)
    return BandSet(tuple(replace(band, mean=mean, std=std) for band, mean, std in own))


def file_hash(path: Path, *others: Path) -> str:
    """Return the SHA-256 of a file; of several, the SHA-256 of their SHA-256s."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if not others:
        return digest
    digests = (digest, *(file_hash(other) for other in others))
    return hashlib.sha256(" ".join(digests).encode()).hexdigest()
