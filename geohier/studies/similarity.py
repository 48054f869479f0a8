"""How similar each pixel of a raster is to given places: the cosine of their features.

The mean feature of the places gives a direction; a pixel whose features point the same way has
similarity 1. Features are standardised first, or all would point away from 0 together.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geohier.errors import ConfigError, InputError
from geohier.geo.window import Window
from geohier.inference.identity import check_unchanged, identities, inputs_of, versions
from geohier.inference.progress import Progress
from geohier.inference.target import check_named_geotiff, check_not_read, check_outside_models
from geohier.raster.layers import FEATURES, STEPS, Layer, features_layer
from geohier.raster.parts import FinishedRun, PartStore, UpToDate, open_run
from geohier.studies.feature_raster import FeatureRaster
from geohier.studies.place_pixels import PlacePixels

PART_PX = (512, 2048)
"""Rows and columns that are worked on at a time."""

SHORTEST = 1e-6
"""Length below which a mean of standardised features has no direction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Similarity:
    """Similarity of the pixels of a raster to some places.

    Args:
        raster: the raster.
        direction: of the mean feature of the places, `(C,)`, of length 1.
    """

    raster: FeatureRaster
    direction: NDArray[np.float32]

    def read(self, window: Window) -> tuple[NDArray[np.float32], tuple[Window, ...]]:
        """Return the similarity `(H, W)`, NaN where there are no data; and what cannot be read."""
        pixels, failures = self.raster.reader.read_salvaged(window)
        features = self.raster.standardised(pixels.values.reshape(len(pixels.values), -1))
        lengths = np.sqrt(np.einsum("nc,nc->n", features, features))
        with np.errstate(invalid="ignore", divide="ignore"):
            cosines = features @ self.direction / lengths
        cosines[lengths == 0] = 0  # the mean of the raster is like nothing
        cosines[~pixels.valid.all(axis=0).ravel()] = np.nan
        return cosines.clip(-1, 1).reshape(window.height, window.width), failures


def similarity_to(pixels: PlacePixels, raster: FeatureRaster) -> Similarity:
    """Return the similarity to the mean feature of places, in which each place counts the same.

    Raises:
        ConfigError: one band is all that is read: it has no direction but up and down.
        InputError: the places are so different that their mean has no direction.
    """
    if len(raster.indexes) < 2:
        raise ConfigError(
            f"{raster.source.name}: similarity is told from directions, which one band has not: "
            "take two bands or more"
        )
    of = np.unique(pixels.places, return_inverse=True)[1]
    sums = np.stack([np.bincount(of, band) for band in pixels.features.T.astype(np.float64)])
    mean = (sums / np.bincount(of)).mean(axis=1)
    length = float(np.linalg.norm(mean))
    if length < SHORTEST:
        raise InputError(
            f"{raster.source.name}: the mean of the places is that of the raster: nothing is "
            "typical of them; give places that are alike"
        )
    return Similarity(raster=raster, direction=(mean / length).astype(np.float32))


@dataclass(frozen=True, slots=True, kw_only=True)
class SimilarityMap:
    """A finished raster of similarity, and whether it was there already."""

    run: FinishedRun
    up_to_date: bool


def map_similarity(
    similarity: Similarity,
    target: Path,
    *,
    labels: Path | None = None,
    restart: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> SimilarityMap:
    """Write the similarity of each pixel as a COG on the raster's grid.

    Stored are 0 to 250 for 0 to 1, and 255 for nodata; pixels that are rather the opposite, with a
    similarity below 0, have 0. A run that was interrupted goes on where it stopped.

    Args:
        similarity: to which places.
        target: GeoTIFF to write.
        labels: file that must not be written over.
        restart: throw away the parts of another run of this output.
        overwrite: replace a finished output of another run.
        progress: called as work goes on.

    Raises:
        OutputExistsError: `target` belongs to another run.
        ConfigError: `target` is among what is read or in a model directory, or not called .tif.
        ResourceError: the disk does not suffice; what is finished is kept.
        OutputLockedError: another process is writing `target`.
    """
    source = similarity.raster.source
    inputs = inputs_of(source)
    check_named_geotiff(target)
    check_outside_models(target)
    check_not_read([target], [*inputs, *(() if labels is None else (labels,))])
    before = identities(inputs)
    layer = features_layer(("similarity",), ((1 / STEPS, 0.0),))
    run = open_run(
        target,
        _fingerprint(similarity, before),
        source.geobox,
        (layer,),
        restart=restart,
        overwrite=overwrite,
    )
    if isinstance(run, UpToDate):
        return SimilarityMap(run=run.run, up_to_date=True)
    with run:
        _write_parts(similarity, run, layer, progress)
        check_unchanged(inputs, before)
        tags = {"geohier_version": metadata.version("geohier")}
        return SimilarityMap(run=run.finish(tags), up_to_date=False)


def windows_of(height: int, width: int, rows: int, columns: int) -> Iterator[Window]:
    """Yield windows of at most that size that cover a raster, each pixel once, row by row.

    Example:
        >>> [(w.row_off, w.col_off, w.width) for w in windows_of(3, 5, 2, 4)]
        [(0, 0, 4), (0, 4, 1), (2, 0, 4), (2, 4, 1)]
    """
    for row in range(0, height, rows):
        for column in range(0, width, columns):
            yield Window(row_off=row, col_off=column, height=rows, width=columns).clipped(
                height=height, width=width
            )


def _write_parts(
    similarity: Similarity, run: PartStore, layer: Layer, progress: Progress | None
) -> None:
    height, width = similarity.raster.source.geobox.shape
    done = 0
    for index, window in enumerate(windows_of(height, width, *PART_PX)):
        if progress is not None:
            progress(done, height * width)
        if index not in run.finished:
            values, failures = similarity.read(window)
            lost = [
                {
                    "unreadable_block": {
                        "row_off": one.row_off,
                        "col_off": one.col_off,
                        "height": one.height,
                        "width": one.width,
                    }
                }
                for one in failures
            ]
            run.write(index, window, {FEATURES: _stored(values, layer.nodata)}, lost)
        done += window.height * window.width


def _stored(values: NDArray[np.float32], nodata: int) -> NDArray[np.uint8]:
    steps = np.where(np.isnan(values), nodata, (values.clip(0, 1) * STEPS).round())
    return steps.astype(np.uint8)[None]


def _fingerprint(similarity: Similarity, inputs: dict[str, object]) -> dict[str, object]:
    raster = similarity.raster
    return {
        "similarity_to": similarity.direction.tobytes().hex(),
        "statistics": [[band.mean, band.std] for band in raster.bands],
        "inputs": inputs,
        "bands": list(raster.numbers),
        "reading": list(raster.source.identity),
        "versions": versions(),
    }
