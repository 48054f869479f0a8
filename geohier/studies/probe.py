"""Probe features: fit a head on a handful of labelled places, judge it, and map the raster with it.

A probe is mapped as any model is (`inference.pipeline`): it has a card and reads one pixel.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from torch import nn

from geohier.errors import ConfigError, LabelError
from geohier.inference.options import PredictOptions
from geohier.inference.pipeline import Prediction, predict_raster
from geohier.inference.progress import Progress
from geohier.inference.target import check_named_geotiff, check_not_read
from geohier.models.card import ClassLabel, ModelCard
from geohier.raster.files import shown
from geohier.raster.layers import labels_layer
from geohier.raster.source import PixelSource
from geohier.studies.feature_raster import FeatureRaster
from geohier.studies.place_pixels import pixels_at
from geohier.studies.places import Places, read_labelled_places
from geohier.studies.probe_estimate import Estimate, leave_out
from geohier.studies.probe_fit import Examples, HeadOptions, fit_head


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """A head that was fitted on places of a raster.

    Args:
        raster: the raster.
        module: from standardised features `(B, C, H, W)` to scores `(B, K, H, W)`.
        card: what it reads and answers.
        examples: what it was fitted on.
        estimate: what it is worth on places that it has not seen.
        notes: what a user should know.
    """

    raster: FeatureRaster
    module: nn.Module
    card: ModelCard
    examples: Examples
    estimate: Estimate
    notes: tuple[str, ...]


def fit_probe(
    source: PixelSource,
    labels: Path,
    attribute: str | None,
    options: HeadOptions | None = None,
    *,
    bands: tuple[str, ...] | None = None,
    radius_m: float = 0,
) -> Probe:
    """Fit a head on the pixels at labelled places.

    Args:
        source: raster of features, or any other.
        labels: vector file of points and polygons in any CRS.
        attribute: column of it that names the classes.
        options: which head, and how.
        bands: bands that are features, by name or number from 1; all but alpha by default.
        radius_m: radius of the disc that a point stands for, in metres on the ground; with 0 it
            stands for the pixel that it lies in.

    Raises:
        LabelError: the labels hold less than two classes on valid pixels of the raster.
        ConfigError: an option does not fit, or there is no such attribute or band.
        InputError: a file cannot be used.
    """
    options = options or HeadOptions()
    if not 0 <= radius_m < float("inf"):
        raise ConfigError(f"radius of {radius_m:g} m: give 0 (the pixel under a point) or more")
    places = read_labelled_places(labels, source.geobox, attribute, radius_m=radius_m)
    raster = FeatureRaster.of(source, bands)
    pixels = pixels_at(places, raster)
    found = Examples(
        features=pixels.features,
        classes=places.classes[pixels.places],
        places=pixels.places,
        count=len(places.names),
    )
    examples, kept, absent = _present(found, places)
    if options.k is not None and options.k > len(examples.classes):
        raise ConfigError(
            f"k of {options.k} neighbours, but there are {len(examples.classes)} labelled pixels: "
            "choose a smaller k"
        )
    return Probe(
        raster=raster,
        module=fit_head(examples, options),
        card=ModelCard(bands=raster.bands, classes=_labels(places, kept), margins_px={95: 0}),
        examples=examples,
        estimate=leave_out(examples, options),
        notes=(*places.notes, *raster.notes, *pixels.notes, *absent),
    )


def map_probe(
    probe: Probe,
    target: Path,
    options: PredictOptions | None = None,
    *,
    labels: Path | None = None,
    progress: Progress | None = None,
) -> Prediction:
    """Map the probe's raster; see `predict_raster`. It is done on the processor, in float32.

    Args:
        probe: what maps.
        target: GeoTIFF to write.
        options: what else can be chosen, but for bands, tiles and device.
        labels: file that must not be written over.
        progress: called as work goes on.

    Raises:
        ConfigError: the result would lie over the labels or the raster, or is not called .tif.
        GeohierError: as `predict_raster` says.
    """
    check_named_geotiff(target)
    check_not_read([target], [] if labels is None else [labels])
    fixed = replace(
        options or PredictOptions(),
        bands=probe.raster.numbers,
        overlap=0,
        device="cpu",
        precision="fp32",
    )
    return predict_raster(
        probe.raster.source,
        target,
        probe.module,
        card=probe.card,
        options=fixed,
        progress=progress,
    )


def _present(found: Examples, places: Places) -> tuple[Examples, list[int], tuple[str, ...]]:
    """Return examples of the classes that have any, which these are, and a note of the others."""
    counts = np.bincount(found.classes, minlength=len(places.names))
    kept = np.flatnonzero(counts)
    names = [places.names[at] for at in kept]
    if len(kept) < 2:
        raise LabelError(
            f"{shown(places.path)}: all labelled pixels are {names[0]}: a map needs two classes "
            "or more"
        )
    absent = [name for name, count in zip(places.names, counts, strict=True) if not count]
    notes = (f"classes without a pixel in the raster: {' '.join(absent)}",) if absent else ()
    classes = np.searchsorted(kept, found.classes)
    return replace(found, classes=classes, count=len(kept)), kept.tolist(), notes


def _labels(places: Places, kept: list[int]) -> tuple[ClassLabel, ...]:
    names = [places.names[at] for at in kept]
    values = [places.values[at] for at in kept] if places.values else [0.5] * len(kept)
    colors = labels_layer(names).class_colors or ()
    return tuple(
        ClassLabel(name=name, color=color, label_values=(int(value),) if value % 1 == 0 else ())
        for name, color, value in zip(names, colors, values, strict=True)
    )
