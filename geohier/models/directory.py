"""A model on disk: a folder that holds weights, card and config, and the SHA-256 of each.

    model.safetensors   the weights: numbers and names, nothing that could run
    card.json           what the model reads and answers (a STAC item)
    config.yaml         the resolved config that it was trained with
    SHA256SUMS          checked on loading; `sha256sum -c SHA256SUMS` reads it too

A folder that is there is whole: it is written beside its place and renamed.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load as read_tensors
from safetensors.torch import save as tensor_bytes
from torch import Tensor, nn

from geohier.config.document import parse_value
from geohier.config.load import dump_config
from geohier.config.schema import TrainConfig
from geohier.errors import ConfigError, ModelError, OutputExistsError, ResourceError
from geohier.models.card import ModelCard
from geohier.models.stac import card_of, item_of

WEIGHTS = "model.safetensors"
CARD = "card.json"
CONFIG = "config.yaml"
SUMS = "SHA256SUMS"

LARGEST_BYTES = {WEIGHTS: 8 << 30, CARD: 4 << 20, CONFIG: 1 << 20, SUMS: 1 << 10}
"""What is larger than this is not read."""


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model read from its folder, ready to predict.

    Args:
        module: the network in evaluation mode, float32, on the CPU.
        card: what it reads and answers.
        config: what it was trained with; `data.root` is not filled in.
        sha256: identity of the whole: hash of SHA256SUMS, which holds the hash of each file.
    """

    module: nn.Module
    card: ModelCard
    config: TrainConfig
    sha256: str


def save_model(
    folder: Path, module: nn.Module, card: ModelCard, config: TrainConfig, *, half: bool = False
) -> Path:
    """Write a model directory and return its path.

    Args:
        folder: the directory to make; its parent is made too.
        module: a network of `at_image_resolution` for this config.
        card: its card.
        config: the config that it was trained with.
        half: store convolution weights as float16, in half the space.

    Raises:
        OutputExistsError: the folder is there and holds something.
        ModelError: a weight is not finite, or not within float16.
        ResourceError: the folder cannot be written.
    """
    files = {
        WEIGHTS: _weights(module, half=half),
        CARD: _card(module, card, config),
        CONFIG: dump_config(config).encode(),
    }
    sums = "".join(f"{_sha256(data)}  {name}\n" for name, data in files.items())
    try:
        _write_folder(folder, {**files, SUMS: sums.encode()})
    except OSError as error:
        if folder.is_dir() and any(folder.iterdir()):
            raise OutputExistsError(f"{folder} holds something already: give a new path") from error
        raise ResourceError(f"{folder} cannot be written: {error.strerror}") from error
    return folder


def load_model(folder: Path | str) -> LoadedModel:
    """Read a model directory. Every file is checked against its SHA-256; no code in it runs.

    Raises:
        ModelError: the folder is no model directory, or a file of it is damaged, too large, or
            does not fit the others.
    """
    folder = Path(folder)
    files, identity = _read_folder(folder)
    card = _read_card(files[CARD], folder / CARD)
    config = _read_config(files[CONFIG], folder / CONFIG)
    tensors = _read_weights(files[WEIGHTS], folder / WEIGHTS)
    module = _build(config, card, folder)
    _fill(module, tensors, folder / WEIGHTS)
    return LoadedModel(module=module.eval(), card=card, config=config, sha256=identity)


def read_card(folder: Path | str) -> ModelCard:
    """Read the card of a model directory; its files are checked as `load_model` does.

    Raises:
        ModelError: the folder is no model directory, or a file of it is damaged.
    """
    files, _ = _read_folder(Path(folder))
    return _read_card(files[CARD], Path(folder) / CARD)


def _weights(module: nn.Module, *, half: bool) -> bytes:
    tensors = {}
    for name, value in module.state_dict().items():
        value = value.detach().cpu()
        shrinks = half and value.is_floating_point() and value.ndim > 1
        stored = value.half() if shrinks else value
        if not bool(stored.isfinite().all()):
            within = " within the range of float16" if shrinks else " finite"
            raise ModelError(f"weights {name} are not all{within}: the model was not saved")
        tensors[name] = stored.contiguous()
    return tensor_bytes(tensors, metadata={"format": "pt"})


def _card(module: nn.Module, card: ModelCard, config: TrainConfig) -> bytes:
    item = item_of(
        card,
        architecture=f"{config.model.decoder}-{config.model.encoder}",
        parameters=sum(parameter.numel() for parameter in module.parameters()),
        weights=WEIGHTS,
    )
    return (json.dumps(item, indent=2, allow_nan=False, ensure_ascii=False) + "\n").encode()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        for name, data in files.items():
            _write_through(staging / name, data)
        staging.chmod(0o755)
        staging.rename(folder)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise


def _write_through(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _read_folder(folder: Path) -> tuple[dict[str, bytes], str]:
    """Return the files of a model directory, checked, and the hash of its manifest."""
    _check_is_model(folder)
    manifest = _read_capped(folder / SUMS)
    sums = _sums(manifest, folder / SUMS)
    if sums.keys() != {WEIGHTS, CARD, CONFIG}:
        raise ModelError(
            f"{folder / SUMS} lists {' '.join(sorted(sums)) or 'nothing'}, "
            f"a model has {WEIGHTS} {CARD} {CONFIG}: copy the model again"
        )
    files = {}
    for name, expected in sums.items():
        files[name] = _read_capped(folder / name)
        if _sha256(files[name]) != expected:
            raise ModelError(
                f"{folder / name} is damaged or was changed: its SHA-256 is not the one in {SUMS}; "
                "copy the model again"
            )
    return files, _sha256(manifest)


def _check_is_model(folder: Path) -> None:
    if not folder.is_dir():
        raise ModelError(f"{folder}: there is no such folder: give a model directory")
    if not (folder / SUMS).is_file():
        inner = folder / "model"
        hint = f"did you mean {inner}?" if (inner / SUMS).is_file() else f"it has no {SUMS}"
        raise ModelError(f"{folder} is no model directory: {hint}")


def _sums(manifest: bytes, path: Path) -> dict[str, str]:
    """Return the SHA-256 of each file name in a manifest."""
    pairs = [line.split(maxsplit=1) for line in manifest.decode("ascii", "replace").splitlines()]
    if any(len(pair) != 2 for pair in pairs):
        raise ModelError(f"{path} is damaged: each line needs a SHA-256 and a file name")
    return {name: sha256 for sha256, name in pairs}


def _read_capped(path: Path) -> bytes:
    largest = LARGEST_BYTES[path.name]
    if not path.is_file():
        raise ModelError(f"{path} is missing: copy the model again")
    if path.stat().st_size > largest:
        raise ModelError(f"{path} is larger than {largest} bytes: this is no file of a model")
    try:
        with path.open("rb") as file:
            return file.read(largest)
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}") from error


def _read_card(data: bytes, path: Path) -> ModelCard:
    try:
        item = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path} is no JSON: {error}") from error
    if not isinstance(item, dict):
        raise ModelError(f"{path} holds a {type(item).__name__}, a card is an object")
    try:
        return card_of(item)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error


def _read_config(data: bytes, path: Path) -> TrainConfig:
    try:
        return TrainConfig.model_validate(parse_value(data.decode(), str(path)))
    except (ConfigError, UnicodeDecodeError) as error:
        raise ModelError(f"{path} cannot be read: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ModelError(f"{path}: {where}: {first['msg']}") from error


def _read_weights(data: bytes, path: Path) -> dict[str, Tensor]:
    try:
        return read_tensors(data)
    except SafetensorError as error:
        raise ModelError(f"{path} holds no tensors: {error}") from error


def _build(config: TrainConfig, card: ModelCard, folder: Path) -> nn.Module:
    from geohier.models.segmentation import (  # brings timm: seconds
        at_image_resolution,
        build_segmenter,
    )

    try:
        with torch.random.fork_rng(devices=[]):  # first weights are drawn, then replaced
            network = build_segmenter(config.model, len(card.bands), len(card.classes))
    except ConfigError as error:
        raise ModelError(f"{folder / CONFIG}: {error}") from error
    return at_image_resolution(network, config.model)


def _fill(module: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Give the network its weights, all of them and no others."""
    wanted = module.state_dict()
    for name in sorted(wanted.keys() ^ tensors.keys()):
        problem = "lacks" if name in wanted else "has the extra"
        raise ModelError(f"{path} {problem} tensor {name}: it belongs to another config")
    for name, tensor in tensors.items():
        if tensor.shape != wanted[name].shape:
            raise ModelError(
                f"{path}: tensor {name} is {tuple(tensor.shape)}, the config's network needs "
                f"{tuple(wanted[name].shape)}: it belongs to another config"
            )
        if not bool(tensor.isfinite().all()):
            raise ModelError(f"{path}: tensor {name} is not finite: train the model again")
    module.load_state_dict(dict(tensors))
