"""The folder of a run: whose it is, whether it may be written, and what it was made from.

config.yaml         the resolved config
run.json            seed, SHA-256 of config and data, versions
metrics.csv, .jsonl a row per epoch
curve.png           the same as a picture
examples/           chips with labels and prediction, of epochs 1, 2, 4, 8, ... and of the best one
checkpoints/        last and best epoch, to go on with
model/              the result: there once the run is finished
"""

import json
import platform
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

from pydantic import ValidationError

from geohier.config.document import read_document
from geohier.config.load import (
    deciding_values,
    dump_config,
    leaves,
    pretraining_values,
    values_hash,
)
from geohier.config.schema import TrainConfig
from geohier.errors import ConfigError, InputError, OutputExistsError
from geohier.raster.durable import write_durably, writing

CONFIG = "config.yaml"
RUN = "run.json"
CHECKPOINTS = "checkpoints"
MODEL = "model"
CURVE = "curve.png"

type Decides = Callable[[TrainConfig], dict[str, object]]
"""Picks what of a config decides the result of a run."""

STARTED_BY: Mapping[str, Decides] = {
    "geohier train": deciding_values,
    "geohier pretrain": pretraining_values,
}

WEIGHTS = "weights.sha256"


class Hashed(Protocol):
    """Data that a run is made from."""

    @property
    def hashes(self) -> Mapping[str, Mapping[str, str]]:
        """SHA-256 of each file, by scene id and split."""


LIBRARIES = ("geohier", "torch", "torchvision", "timm", "segmentation-models-pytorch", "lightning")


def shortened(config: TrainConfig) -> TrainConfig:
    """Return a config that fits two batches only; all choose blocks still judge them."""
    batches = {"per_epoch": 2 * config.chips.batch_size, "megapixels_per_epoch": None}
    return config.model_copy(
        update={
            "chips": config.chips.model_copy(update=batches),
            "training": config.training.model_copy(update={"epochs": 1}),
        }
    )


def check_folder(
    out: Path, config: TrainConfig, *, resume: bool, decides: Decides = deciding_values
) -> None:
    """Check that a run of this config may write here.

    Args:
        out: folder of the run.
        config: its config.
        resume: whether to go on with a run that is there.
        decides: what of a config decides the result.

    Raises:
        OutputExistsError: something is there that is not to be resumed, or is no run.
        ConfigError: the run that is there has another config.
    """
    begun = is_begun(out, "training run", RUN, CONFIG, resume=resume)
    if begun and _read(out)["config_sha256"] != values_hash(decides(config)):
        raise ConfigError(_why_not(out, config, decides))


def is_begun(out: Path, what: str, *marks: str, resume: bool) -> bool:
    """Return whether there is work in a folder that may be gone on with; without, it is free.

    Args:
        out: the folder.
        what: the work, for messages.
        marks: names in the folder that tell that it is such work.
        resume: whether to go on with what is there.

    Raises:
        OutputExistsError: something is there that is not to be resumed, or is no such work.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return False
    if not resume:
        raise OutputExistsError(
            f"{out} holds something already: go on with --resume, or give another --out"
        )
    if not all((out / mark).exists() for mark in marks):
        raise OutputExistsError(f"{out} holds no {what} to resume: give another --out")
    return True


def pinned_weights(out: Path) -> str | None:
    """Return the SHA-256 of the weights that a run started from; None if it cannot be told."""
    try:
        return TrainConfig.model_validate(read_document(out / CONFIG)).weights.sha256
    except (ConfigError, ValidationError):
        return None


def claim_folder(
    out: Path, config: TrainConfig, data: Hashed, decides: Decides = deciding_values
) -> None:
    """Write down what the run is made from, or check that it is still the same.

    Raises:
        InputError: a scene is not as it was when the run began.
        ResourceError: the folder cannot be written.
    """
    if (out / RUN).is_file():
        _check_data(out, data)
        return
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
    write_durably(out / CONFIG, dump_config(config).encode())
    about = {
        "config_sha256": values_hash(decides(config)),
        "seed": config.training.seed,
        "data_sha256": {name: dict(files) for name, files in data.hashes.items()},
        "versions": versions(),
    }
    write_durably(out / RUN, (json.dumps(about, indent=2) + "\n").encode())


def versions() -> dict[str, str]:
    """Return the versions of what makes a model."""
    return {"python": platform.python_version(), **{name: version(name) for name in LIBRARIES}}


def _read(out: Path) -> Mapping[str, Any]:
    try:
        about = json.loads((out / RUN).read_text(encoding="utf-8"))
        return {"config_sha256": about["config_sha256"], "data_sha256": about["data_sha256"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OutputExistsError(f"{out / RUN} is damaged ({error}): give another --out") from error


def _check_data(out: Path, data: Hashed) -> None:
    before, now = _read(out)["data_sha256"], data.hashes
    for scene in sorted(before.keys() | now.keys()):
        if before.get(scene) != now.get(scene):
            raise InputError(
                f"scene {scene} is not as it was when {out} was started: bring it back, or train "
                "anew with another --out"
            )


def _why_not(out: Path, config: TrainConfig, decides: Decides) -> str:
    """Say why a run of this config cannot go on in a folder of another hash."""
    try:
        before = TrainConfig.model_validate(read_document(out / CONFIG))
    except ValidationError:  # keys or values that this version does not know
        before = config
    for command, others in STARTED_BY.items():
        if others is not decides and _read(out)["config_sha256"] == values_hash(others(before)):
            return f"{out} holds a run of `{command}`: give another --out"
    was, now = (dict(leaves(decides(one))) for one in (before, config))
    key = next((key for key in now if was.get(key) != now[key]), None)
    if key is None:
        return (
            f"{out} cannot go on: another version of geohier wrote it, whose configs say other "
            "things: use that version, or give another --out"
        )
    again = "start from the same weights (--init)" if key == WEIGHTS else "use the same config"
    return (
        f"{out} was started with another config: {key} was {was.get(key)}, now {now[key]}; "
        f"{again} to go on, or give another --out"
    )
