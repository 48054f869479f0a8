"""Score networks with their second sensor, without, and with one of other ground, on val.

Models of one config that differ by their seed are given together. Other ground is that of the chip
half of all chips away; a network that does as well with it has not used its second sensor.

    python tests/bench/second_sensor.py landcover --data-root data/s2_s1_lulc_terramesh \\
        --model runs/second-0/model
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import render
import torch
from machine import describe_machine
from numpy.typing import NDArray
from torch import Tensor, nn
from val_chips import model_and_config, shown, val_chips

from geohier.data.chips import Chip
from geohier.data.labels import IGNORE_INDEX
from geohier.errors import GeohierError, ModelError
from geohier.evaluation.bootstrap import bootstrap, paired_difference

SHOWN = ("its own", "dropped", "of other ground")
"""What the network is shown of the second sensor."""

type Json = dict[str, Any]
type Counts = NDArray[np.int64]


@torch.no_grad()
def measure(network: nn.Module, chips: Sequence[Chip], bands: int) -> Mapping[str, Counts]:
    """Return the confusion counts `(N, K, K)` of the chips under each way of showing it.

    Args:
        network: gives logits.
        chips: labelled images.
        bands: bands of the second sensor, which are the last ones.
    """
    found: dict[str, list[Counts]] = {name: [] for name in SHOWN}
    for at in range(len(chips)):
        chip, other = chips[at], chips[(at + len(chips) // 2) % len(chips)]["image"][-bands:]
        first, own = chip["image"][:-bands], chip["image"][-bands:]
        seconds = dict(zip(SHOWN, (own, torch.zeros_like(own), other), strict=True))
        for name, second in seconds.items():
            logits = network(torch.cat([first, second])[None])
            found[name].append(_confusion(logits[0], chip["mask"]))
    return {name: np.stack(counts) for name, counts in found.items()}


def _confusion(logits: Tensor, labels: Tensor) -> Counts:
    known, classes = labels != IGNORE_INDEX, len(logits)
    cells = labels[known] * classes + logits.argmax(0)[known]
    return cells.bincount(minlength=classes**2).view(classes, classes).numpy()


def compare(runs: Sequence[Mapping[str, Counts]]) -> list[Json]:
    """Return the macro IoU under each way, and what the second sensor's own brings against it."""
    counts = {name: np.stack([run[name] for run in runs]) for name in SHOWN}
    own = counts[SHOWN[0]]
    return [
        {
            "shown": name,
            "iou": asdict(bootstrap(counts[name])[-1]),
            "gain": None if name == SHOWN[0] else asdict(paired_difference(own, counts[name])[-1]),
        }
        for name in SHOWN
    ]


def main() -> None:
    """Measure some models and write the results page."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("name", help="of the result: docs/results/second-NAME.json")
    parser.add_argument(
        "--model", type=Path, action="append", required=True, help="in its run folder"
    )
    parser.add_argument("--data-root", required=True, help="folder of their data set")
    parser.add_argument("--remark", default="", help="what a reader should know of the models")
    arguments = parser.parse_args()
    runs, chips = [], 0
    for path in arguments.model:
        network, config = model_and_config(path, arguments.data_root)
        bands = config.model.hierarchy.second.bands
        if not bands:
            raise ModelError(f"{path} has no second sensor (model.hierarchy.second)")
        found = val_chips(config, config.chips.size_px)
        chips = len(found)
        runs.append(measure(network, found, len(bands)))
    document = {
        "command": f"python tests/bench/second_sensor.py {arguments.name} "
        f"{shown(arguments.model)} --data-root ...",
        "remark": arguments.remark,
        "machine": describe_machine(),
        "found": {"models": len(runs), "chips": chips, "scores": compare(runs)},
    }
    render.publish(f"second-{arguments.name}", document)


if __name__ == "__main__":
    try:
        main()
    except GeohierError as error:
        sys.exit(str(error))
