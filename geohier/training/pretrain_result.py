"""What a pretraining leaves: encoder and pyramid as a file that `geohier train --init` takes."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import nn

from geohier.config.load import pretraining_values, values_hash
from geohier.config.schema import TrainConfig
from geohier.data.unlabelled import PretrainingData
from geohier.data.views import ViewDataset
from geohier.models.pretrainer import Pretrainer, encoder_tensors
from geohier.models.weight_files import ABOUT
from geohier.raster.durable import write_durably
from geohier.training.log import Row
from geohier.training.run_folder import versions

ENCODER = "encoder.safetensors"

WHOLE_CHIPS = 128
"""Chips without masks over which the running statistics are taken anew."""


@torch.no_grad()
def whole_statistics(pyramid: nn.Module, views: ViewDataset, batch_size: int) -> None:
    """Take the running statistics of batch normalisations anew, on images without masks.

    Those of the training are of images with holes, which nobody will show the encoder again: it
    would start off its mark. All weights stay. As "precise" statistics in Wu and Johnson (2021,
    arXiv 2105.07576), they are plain means over many batches, of the final weights alone.
    """
    norms = [one for one in pyramid.modules() if isinstance(one, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    pyramid.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.train()
        norm.momentum = None  # a plain mean
    views.set_epoch(0)
    count = min(WHOLE_CHIPS, len(views))
    for start in range(0, count, batch_size):
        chips = [views[at]["image"][0] for at in range(start, min(start + batch_size, count))]
        pyramid(torch.stack(chips))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    pyramid.eval()


def save_encoder(
    path: Path, network: Pretrainer, config: TrainConfig, data: PretrainingData, rows: Sequence[Row]
) -> Path:
    """Write the weights, and what they read and come from as metadata of the same file.

    Args:
        path: file to write.
        network: has the weights.
        config: what they were trained by.
        data: what they were trained on.
        rows: of the epochs up to the one that is kept.
    """
    measured = config.data.normalise == "train"
    scores = {name: value for name, value in rows[-1].items() if name.startswith(("psnr", "gain"))}
    about = {
        "bands": {
            "names": data.bands.meanings,
            "mean": [band.mean for band in data.bands] if measured else None,
            "std": [band.std for band in data.bands] if measured else None,
        },
        "encoder_name": config.model.encoder,
        "config_sha256": values_hash(pretraining_values(config)),
        "data_sha256": _hash_of(data),
        "seed": config.training.seed,
        "best_epoch": len(rows),
        "steps": sum(int(row["steps"]) for row in rows),
        "scores": scores,
        "versions": versions(),
    }
    tensors = encoder_tensors(network.state_dict())
    write_durably(path, save(tensors, metadata={ABOUT: json.dumps(about)}))
    return path


def read_about(path: Path) -> dict[str, Any]:
    """Return what a pretrained encoder says of itself."""
    with safe_open(path, framework="pt") as file:
        about: dict[str, Any] = json.loads(file.metadata()[ABOUT])
    return about


def _hash_of(data: PretrainingData) -> str:
    files = json.dumps({name: dict(one) for name, one in data.hashes.items()}, sort_keys=True)
    return hashlib.sha256(files.encode()).hexdigest()
