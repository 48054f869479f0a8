"""Who a run is: everything that decides its result, and what the result says about itself."""

import glob
import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path

import rasterio
import torch

from geohier.errors import InputError
from geohier.inference.job import Job
from geohier.inference.options import PredictOptions
from geohier.inference.tree_level import mapped_classes
from geohier.raster.files import full_name, is_remote
from geohier.raster.layers import CLASS_TREE_TAG, LABEL_VALUES_TAG, LEVELS_TAG
from geohier.raster.source import PixelSource

HEAD_BYTES = 64 << 10
SHAPEFILE_PARTS = (".shx", ".dbf", ".prj", ".cpg")
"""Files beside a `.shp` that say where its shapes are."""
CHOICES_THAT_DECIDE = (
    "thresholds",
    "blend",
    "batch_size",
    "symmetric",
    "valid",
    "alpha",
    "memory_gb",
)
"""Options of which another value would be another run; tiles, bands and layers stand beside."""
WHERE_GIVEN = ("tree_level", "sample", "exits")
"""The same, but runs without them are those that they were before there was such an option."""


def fingerprint(job: Job, inputs: Mapping[str, object]) -> dict[str, object]:
    """Return what decides the result: equal fingerprints give equal bytes.

    Args:
        job: the prediction.
        inputs: `identities` of the scene's `inputs_of`.
    """
    grid, features = job.plan.grid, job.predictor.features
    return {
        "model_sha256": job.predictor.sha256,
        "inputs": dict(inputs),
        "area_of_interest": identities(_area_files(job.options.aoi)) if job.options.aoi else None,
        "bands": _bands(job),
        "reading": list(job.source.identity),
        "tiles": {"size": grid.size, "overlap": grid.overlap, "margin": grid.margin},
        "options": _deciding(job.options),
        "device": torch.device(job.plan.device).type,
        "precision": job.plan.precision,
        "threads": torch.get_num_threads(),
        "versions": versions(),
    } | ({} if features is None else {"features": features.identity})


def settings(job: Job) -> dict[str, object]:
    """Return what the first start of a run decides and each later one keeps."""
    swaths = [[swath.start, swath.stop] for swath in job.plan.swaths]
    return {"batch_size": job.plan.batch_size, "swaths": swaths}


def content_tags(job: Job) -> dict[str, str]:
    """Return what the files say about their content: no clock time, path, host or user."""
    grid = job.plan.grid
    return {
        "geohier_version": metadata.version("geohier"),
        "geohier_model_sha256": job.predictor.sha256,
        "geohier_options_sha256": _hash(_deciding(job.options)),
        "geohier_tiles": f"size {grid.size}, overlap {grid.overlap}, margin {grid.margin}",
        "geohier_precision": job.plan.precision,
        **_meaning(job),
    }


def _meaning(job: Job) -> dict[str, str]:
    """Return what the numbers of the main layer stand for."""
    card, features, level = job.predictor.card, job.predictor.features, job.options.tree_level
    if features is not None:
        return {LEVELS_TAG: json.dumps(features.identity)}
    values = [list(label.label_values) for label in mapped_classes(card, level)]
    tags = {LABEL_VALUES_TAG: json.dumps(values)}
    if card.tree is not None and level is None:
        tags[CLASS_TREE_TAG] = json.dumps(card.tree.to_json())
    return tags


def inputs_of(source: PixelSource) -> tuple[Path, ...]:
    """Return the files that a scene's pixels come from."""
    return (*source.files, *source.sidecars)


def _area_files(path: Path) -> list[Path]:
    if path.suffix.lower() != ".shp":
        return [path]
    beside = sorted(path.parent.glob(f"{glob.escape(path.stem)}.*"))
    return [path, *(part for part in beside if part.suffix.lower() in SHAPEFILE_PARTS)]


def identities(paths: Sequence[Path]) -> dict[str, object]:
    """Return size, time of the last change, and a hash of the head of files, by their full paths.

    Of a file on the network, only its name is known.

    Raises:
        InputError: one of them cannot be read.
    """
    return {full_name(path): _identity(path) for path in paths}


def _identity(path: Path) -> dict[str, object]:
    if is_remote(path):
        return {}
    try:
        stat = path.stat()
        with path.open("rb") as file:
            head = hashlib.sha256(file.read(HEAD_BYTES)).hexdigest()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    return {"size": stat.st_size, "mtime_ns": stat.st_mtime_ns, "head_sha256": head}


def check_unchanged(paths: Sequence[Path], before: Mapping[str, object]) -> None:
    """Check that the inputs are still those that the run began with.

    Raises:
        InputError: one of them was changed while it was read.
    """
    for path, now in identities(paths).items():
        if now != before[path]:
            raise InputError(
                f"{path} was changed while it was read: run again with --restart to start anew"
            )


def versions() -> dict[str, str]:
    """Return the versions whose change may change a bit of the result."""
    return {
        "geohier": metadata.version("geohier"),
        "torch": torch.__version__,
        "gdal": rasterio.__gdal_version__,
    }


def _bands(job: Job) -> dict[str, object]:
    """Return, for each band of the model, which band of the scene it is and how that is read."""
    found: dict[str, object] = {}
    names = job.predictor.card.bands.names
    dates = [f"{day} " for day in job.match.choice.dates] or [""]
    labels = [f"{day}{name}" for day in dates for name in names]
    for name, at in zip(labels, job.match.indexes, strict=True):
        found[name] = job.source.bands[at].identity | {"number": at + 1}
    return found


def _deciding(options: PredictOptions) -> dict[str, object]:
    values = {name: getattr(options, name) for name in CHOICES_THAT_DECIDE}
    given = {name: getattr(options, name) for name in WHERE_GIVEN}
    values |= {name: value for name, value in given.items() if value is not None}
    if options.exits is not None:
        values["exits"] = options.exits.identity
    return {name: dict(v) if name == "thresholds" else v for name, v in values.items()}


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
