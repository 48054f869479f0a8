"""Tensors that a network may start from, read from a file that may come from anywhere.

Nothing that is read here can run code: safetensors holds numbers, and files of torch are opened
with `weights_only`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch
from pydantic import BaseModel, ConfigDict, PositiveFloat, ValidationError, model_validator
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from geohier.errors import ModelError
from geohier.models.manifest import WEIGHTS, card_in, check_files, is_model, read_item
from geohier.raster.durable import sha256_of
from geohier.raster.files import shown

NESTED = ("state_dict", "model_state_dict", "model", "teacher", "student", "encoder", "backbone")
"""Where checkpoints of other tools keep the tensors, most usual first."""

OF_A_RUN = ("model", "encoder.safetensors")
"""What the folder of a run holds that a training can start from."""

ABOUT = "geohier"
"""Metadata of a safetensors file in which a pretrained encoder tells of itself, as JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceBands:
    """The bands that weights read, and how these were normalised: `(value - mean) / std`.

    Args:
        names: names, in the order of the first convolution; of computed bands with their formula.
        mean: one number per band, in file units; None where nobody says so.
        std: likewise.
    """

    names: tuple[str, ...]
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """Tensors by name, and what is known of them.

    Args:
        tensors: as the file has them.
        origin: where they come from, for people.
        sha256: of the file, or the identity of the model directory.
        bands: what the first convolution reads; None where nobody says so.
        classes: names of the classes that the last layer tells apart; empty for an encoder.
    """

    tensors: Mapping[str, Tensor]
    origin: str
    sha256: str
    bands: SourceBands | None = None
    classes: tuple[str, ...] = ()


def read_weights(path: Path, sha256: str | None = None) -> Weights:
    """Read the tensors of a model directory of geohier, a safetensors file or a file of torch.

    Args:
        path: where they lie.
        sha256: the SHA-256 that the file must have, for a model directory that of its SHA256SUMS.

    Raises:
        ModelError: there is nothing, it is damaged or another file, or it holds no tensors.
    """
    if path.is_dir():
        return _of_model(path, sha256)
    if not path.is_file():
        raise ModelError(f"weights {shown(path)}: there is no such file or model directory")
    found = sha256_of(path)
    _check_sum(path, found, sha256)
    return Weights(
        tensors=_tensors(path), origin=path.name, sha256=found, bands=_bands_said_in(path)
    )


def _of_model(folder: Path, sha256: str | None) -> Weights:
    if not is_model(folder):
        inside = [
            path for path in map(folder.joinpath, OF_A_RUN) if is_model(path) or path.is_file()
        ]
        hint = f"did you mean {shown(inside[0])}?" if inside else "give one, or a file of tensors"
        raise ModelError(f"weights {shown(folder)}: is a folder, but no model directory: {hint}")
    identity = check_files(folder)
    _check_sum(folder, identity, sha256)
    card = card_in(folder, read_item(folder))
    measured, read = card.normalise == "train", card.always_there
    return Weights(
        tensors=_safe_tensors(folder / WEIGHTS),
        origin=folder.name,
        sha256=identity,
        bands=SourceBands(
            names=read.meanings,
            mean=tuple(band.mean for band in read) if measured else None,
            std=tuple(band.std for band in read) if measured else None,
        ),
        classes=tuple(one.name for one in card.classes),
    )


def _bands_said_in(path: Path) -> SourceBands | None:
    """Return the bands that a pretrained encoder says it reads; None where a file says nothing."""
    if path.suffix != ".safetensors":
        return None
    with safe_open(path, framework="pt") as file:
        said = (file.metadata() or {}).get(ABOUT)
    if said is None:
        return None
    try:
        bands = _About.model_validate_json(said).bands
    except ValidationError as error:
        raise ModelError(
            f"weights {shown(path)}: what it says of its bands is damaged: give another file"
        ) from error
    return SourceBands(names=bands.names, mean=bands.mean, std=bands.std)


class _Bands(BaseModel):
    """Bands as a file's metadata tell of them."""

    model_config = ConfigDict(allow_inf_nan=False)

    names: tuple[str, ...]
    mean: tuple[float, ...] | None
    std: tuple[PositiveFloat, ...] | None

    @model_validator(mode="after")
    def _one_of_each(self) -> Self:
        for numbers in (self.mean, self.std):
            if numbers is not None and len(numbers) != len(self.names):
                raise ValueError(f"{len(numbers)} numbers for {len(self.names)} bands")
        return self


class _About(BaseModel):
    """What of a file's metadata is needed here."""

    bands: _Bands


def _check_sum(path: Path, found: str, wanted: str | None) -> None:
    if wanted is not None and found != wanted:
        raise ModelError(
            f"weights {shown(path)}: SHA-256 is {found[:12]}..., weights.sha256 says "
            f"{wanted[:12]}...: it is another file, or a damaged one"
        )


def _tensors(path: Path) -> Mapping[str, Tensor]:
    if path.suffix == ".safetensors":
        return _safe_tensors(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # what a damaged file makes torch raise is anything
        reason = str(error).split("\n", 1)[0].split(". ", 1)[0]
        raise ModelError(
            f"weights {shown(path)}: cannot be read as tensors alone ({reason}): give a "
            "safetensors file, or a state dict saved by torch"
        ) from error
    found = _state_dict(content)
    if not found:
        raise ModelError(f"weights {shown(path)}: holds no tensors by name: give a state dict")
    return found


def _safe_tensors(path: Path) -> Mapping[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"weights {shown(path)}: holds no tensors: {error}") from error


def _state_dict(content: object, depth: int = 0) -> dict[str, Tensor]:
    """Return the tensors of a state dict, or of the one that a checkpoint holds."""
    if not isinstance(content, Mapping) or depth > len(NESTED):
        return {}
    for key in NESTED:
        if isinstance(content.get(key), Mapping):
            return _state_dict(content[key], depth + 1)
    return {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
