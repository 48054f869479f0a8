"""A model on disk: a folder whose files `manifest.py` lists; here the network goes in and out.

A folder that is there is whole: it is written beside its place and renamed.
"""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from safetensors.torch import save as tensor_bytes
from torch import Tensor, nn

from geohier.config.complaints import complaint
from geohier.config.document import parse_value
from geohier.config.load import dump_config
from geohier.config.schema import TrainConfig
from geohier.errors import ConfigError, ModelError, OutputExistsError, ResourceError
from geohier.models.card import ModelCard
from geohier.models.manifest import (
    CARD,
    CONFIG,
    SUMS,
    WEIGHTS,
    card_in,
    check_files,
    read_file,
    read_item,
)
from geohier.models.stac import item_of
from geohier.raster.durable import move_durably, write_durably, writing
from geohier.raster.files import shown


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
    if folder.is_dir() and any(folder.iterdir()):
        raise OutputExistsError(f"{shown(folder)} holds something already: give a new path")
    files = {
        WEIGHTS: _weights(module, half=half),
        CARD: _card(module, card, config),
        CONFIG: dump_config(config).encode(),
    }
    sums = (f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in files.items())
    _write_folder(folder, {**files, SUMS: "".join(sums).encode()})
    return folder


def load_model(folder: Path | str) -> LoadedModel:
    """Read a model directory. Every file is checked against its SHA-256; no code in it runs.

    Raises:
        ModelError: the folder is no model directory, or a file of it is damaged, too large, or
            does not fit the others.
    """
    folder = Path(folder)
    identity = check_files(folder)
    card = card_in(folder, read_item(folder))
    config = _read_config(folder / CONFIG)
    module = _build(config, card, folder)
    _fill(module, _read_weights(folder / WEIGHTS), folder / WEIGHTS)
    _check_memory(module, card, folder)
    return LoadedModel(module=module.eval(), card=card, config=config, sha256=identity)


def stores_half(folder: Path) -> bool:
    """Return whether a model directory holds its convolution weights as float16.

    Raises:
        ModelError: its weights cannot be read.
    """
    try:
        with safe_open(folder / WEIGHTS, framework="pt") as file:
            return any(file.get_slice(name).get_dtype() == "F16" for name in file.keys())  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{folder / WEIGHTS} holds no tensors: {error}") from error


def _weights(module: nn.Module, *, half: bool) -> bytes:
    tensors, learned = {}, {name for name, _ in module.named_parameters()}
    for name, value in module.state_dict().items():
        value = value.detach().cpu()
        shrinks = half and name in learned and value.ndim > 1
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


def _write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    with writing(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        for name, data in files.items():
            write_durably(staging / name, data)
        _read_back(staging, files)
        staging.chmod(0o755)
        move_durably(staging, folder)  # a folder that holds something is not replaced
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise


def _read_back(folder: Path, files: Mapping[str, bytes]) -> None:
    for name, data in files.items():
        with writing(folder / name):
            found = (folder / name).read_bytes()
        if found != data:
            raise ResourceError(
                f"{folder / name} does not hold what was written: the disk or the file system is "
                "at fault; choose another folder"
            )


def _read_config(path: Path) -> TrainConfig:
    try:
        return TrainConfig.model_validate(parse_value(read_file(path).decode(), str(path)))
    except (ConfigError, UnicodeDecodeError) as error:
        raise ModelError(f"{path} cannot be read: {error}") from error
    except ValidationError as error:
        raise ModelError(complaint(error, {}, str(path))) from error


def _read_weights(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
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


def _check_memory(module: nn.Module, card: ModelCard, folder: Path) -> None:
    from geohier.layers.memory import check_classes

    try:
        check_classes(module, [one.name for one in card.classes])
    except ModelError as error:
        raise ModelError(f"{shown(folder)}: {error}") from error


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
