"""Weights that others publish, found on this machine by name, or fetched where that is allowed.

Names of torchgeo stand as they are (ResNet18_Weights.SENTINEL2_ALL_MOCO), those of the others after
the library's: timm/resnet18.a1_in1k, smp/mit_b0.imagenet. Nothing here asks the network but `find`.
"""

import logging
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from geohier.errors import ConfigError, ModelError, ResourceError
from geohier.models.weight_files import SourceBands
from geohier.raster.durable import sha256_of

LOG = logging.getLogger(__name__)

FOLDER = "GEOHIER_WEIGHTS"
"""Environment variable: a folder of weights, each named as in the config, with `_` for `/`."""

SUFFIXES = (".safetensors", ".pth", ".pt")

COLOURS = {"r": "red", "g": "green", "b": "blue", "n": "nir"}
"""How bands of aerial photographs are called for short."""

THEMATIC_MAPPER = {
    "b1": "blue", "b2": "green", "b3": "red", "b4": "nir08", "b5": "swir16", "b7": "swir22",
    "b8": "pan",
}  # fmt: skip
LAND_IMAGER = {
    "b1": "coastal", "b2": "blue", "b3": "green", "b4": "red", "b5": "nir08", "b6": "swir16",
    "b7": "swir22", "b8": "pan", "b9": "cirrus", "b10": "lwir11", "b11": "lwir12",
}  # fmt: skip
SENSORS = {
    ".LANDSAT_TM_": THEMATIC_MAPPER,
    ".LANDSAT_ETM_": THEMATIC_MAPPER,
    ".LANDSAT_": LAND_IMAGER,
}
"""STAC common names of Landsat's bands (USGS), whose numbers mean other bands than Sentinel-2's: by
what torchgeo's names hold, the first that fits."""

OTHER_SCALE = ("inceptionresnetv2", "inceptionv4", "xception")
"""smp's encoders whose weights were made with another mean and deviation than ImageNet's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """Where weights are published, and what they read.

    Args:
        name: as in the config.
        bands: their bands; None where nobody says so.
        cached: finds them in the library's own cache.
        fetch: brings them there.
        sha256_start: how their SHA-256 begins; empty where nobody says so.
    """

    name: str
    bands: SourceBands | None
    cached: Callable[[], Path | None]
    fetch: Callable[[], Path]
    sha256_start: str = ""


def published(name: str) -> Published:
    """Return what is known of weights by name.

    Raises:
        ConfigError: no library publishes such weights.
    """
    library, _, rest = name.partition("/")
    if library == "timm" and rest:
        return _of_timm(name, rest)
    if library == "smp" and rest:
        return _of_smp(name, rest)
    return _of_torchgeo(name)


def find(weights: Published, *, allow_download: bool = False) -> Path:
    """Return the file of published weights.

    Raises:
        ResourceError: it is not on this machine, and may not or cannot be fetched.
        ModelError: it is not the file that its publisher names.
    """
    path = _in_folder(weights.name) or weights.cached()
    if path is None and not allow_download:
        raise ResourceError(
            f"weights {weights.name} are not on this machine: give weights.file, put them into "
            f"${FOLDER} as {_stem(weights.name)}.safetensors or .pth, or pass --allow-download"
        )
    if path is None:
        path = _fetched(weights)
    LOG.info("weights %s: %s", weights.name, path)
    start = weights.sha256_start
    was_converted = path.suffix == ".safetensors"  # which gave it another hash
    if start and not was_converted and not sha256_of(path).startswith(start):
        raise ModelError(
            f"weights {weights.name}: {path} is not the published file, whose SHA-256 begins with "
            f"{start}: remove it"
        )
    return path


def _fetched(weights: Published) -> Path:
    try:
        return weights.fetch()
    except Exception as error:  # each library has its own errors of the network
        reason = str(error).split("\n", 1)[0] or type(error).__name__
        raise ResourceError(f"weights {weights.name} could not be fetched: {reason}") from error


def _stem(name: str) -> str:
    return name.replace("/", "_")


def _in_folder(name: str) -> Path | None:
    folder = os.environ.get(FOLDER)
    if not folder:
        return None
    paths = (Path(folder) / (_stem(name) + suffix) for suffix in SUFFIXES)
    return next((path for path in paths if path.is_file()), None)


def _unknown(name: str, known: list[str]) -> ConfigError:
    near = get_close_matches(name, known, n=1, cutoff=0.3)
    hint = f"; did you mean {near[0]}?" if near else ""
    return ConfigError(f"weights.name: nobody publishes {name}{hint}")


def _of_torchgeo(name: str) -> Published:
    import torchgeo.models as library  # seconds

    known: dict[str, Any] = {
        str(one): one
        for family in dir(library)
        if family.endswith("_Weights")
        for one in getattr(library, family)
    }
    if name not in known:
        raise _unknown(name, list(known))
    weights = known[name]
    file = weights.url.rsplit("/", 1)[-1]
    start = re.search(r"-([0-9a-f]{8,64})\.", file)
    # files of one base name, such as weights.pth, would stand for each other in torch's cache
    kept_as = file if start else f"{name}-{file}"
    return Published(
        name=name,
        bands=_bands_of_torchgeo(name, weights),
        cached=lambda: _existing(_hub_folder() / kept_as),
        fetch=lambda: _from_hub(weights.url, _hub_folder() / kept_as, start),
        sha256_start=start[1] if start else "",
    )


def _bands_of_torchgeo(name: str, weights: Any) -> SourceBands | None:  # noqa: ANN401
    names = weights.meta.get("bands")
    if not names:
        return None
    sensor = next((table for key, table in SENSORS.items() if key in name), COLOURS)
    plain = [re.sub("^b0", "b", str(one).lower().removeprefix("sr_")) for one in names]
    common = tuple(sensor.get(one, one) for one in plain)
    mean, std = _normalisation(weights.transforms, len(common))
    return SourceBands(names=common, mean=mean, std=std)


def _normalisation(
    transforms: object, count: int
) -> tuple[tuple[float, ...] | None, tuple[float, ...] | None]:
    """Return mean and deviation of a recipe that normalises exactly once, in file units."""
    steps = [one for one in _modules(transforms) if type(one).__name__ == "Normalize"]
    if len(steps) != 1:
        return None, None
    mean, std = (_numbers(getattr(steps[0], key, None)) for key in ("mean", "std"))
    if mean is None or std is None:
        return None, None
    spread = tuple(one * count if len(one) == 1 else one for one in (mean, std))
    return spread if all(len(one) == count for one in spread) else (None, None)  # type: ignore[return-value]


def _modules(transforms: object) -> list[object]:
    modules = getattr(transforms, "modules", None)
    return list(modules()) if callable(modules) else []


def _numbers(value: object) -> tuple[float, ...] | None:
    try:
        return tuple(float(one) for one in value)  # type: ignore[attr-defined]
    except TypeError:
        return None


def _hub_folder() -> Path:
    import torch

    return Path(torch.hub.get_dir()) / "checkpoints"


def _existing(path: Path) -> Path | None:
    return path if path.is_file() else None


def _from_hub(url: str, path: Path, start: re.Match[str] | None) -> Path:
    import torch

    path.parent.mkdir(parents=True, exist_ok=True)
    torch.hub.download_url_to_file(url, str(path), start[1] if start else None, progress=False)
    return path


def _of_timm(name: str, model: str) -> Published:
    import timm

    if model not in timm.list_models(pretrained=True):
        raise _unknown(name, [f"timm/{one}" for one in timm.list_models(pretrained=True)])
    recipe = timm.get_pretrained_cfg(model)
    assert recipe is not None, "listed as pretrained"
    repository = recipe.hf_hub_id or f"timm/{model}"
    return _of_hub(name, repository, None, recipe.mean, recipe.std)


def _of_smp(name: str, weights: str) -> Published:
    import segmentation_models_pytorch as smp
    from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD

    known = {
        f"{encoder}.{key}": settings
        for encoder, entry in smp.encoders.encoders.items()
        for key, settings in entry.get("pretrained_settings", {}).items()
        if "repo_id" in settings
    }
    if weights not in known:
        raise _unknown(name, [f"smp/{one}" for one in known])
    settings = known[weights]
    # smp keeps mean and deviation on the hub too, where nothing is asked for them
    usual = not weights.startswith(OTHER_SCALE) and not weights.endswith("advprop")
    scale = (IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD) if usual else (None, None)
    return _of_hub(name, settings["repo_id"], settings.get("revision"), *scale)


def _of_hub(
    name: str,
    repository: str,
    revision: str | None,
    mean: tuple[float, ...] | None,
    std: tuple[float, ...] | None,
) -> Published:
    """Return weights on the hub of models; their mean and deviation are of values from 0 to 1."""
    from huggingface_hub import hf_hub_download, try_to_load_from_cache

    file = "model.safetensors"

    def cached() -> Path | None:
        found = try_to_load_from_cache(repository, file, revision=revision)
        return Path(found) if isinstance(found, str) else None

    return Published(
        name=name,
        bands=SourceBands(
            names=("red", "green", "blue"),
            mean=None if mean is None else tuple(255 * one for one in mean),
            std=None if std is None else tuple(255 * one for one in std),
        ),
        cached=cached,
        fetch=lambda: Path(hf_hub_download(repository, file, revision=revision)),
    )
