"""Measure which levels objects of each size need, and write docs/results/levels-NAME.json.

The val scenes are cut into chips. Objects are connected regions of a class that lie whole within
one; each counts with the share of its pixels that are found, by all levels and with each level
zeroed as it enters the merge. Where levels are merged by gates, so does the mean number of the
level that its pixels weigh, 0 for the finest.

    python tests/bench/by_size.py sum --model runs/ablate-parts/cells/baseline-0/model \\
        --data-root data/hot_buildings
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import render
import torch
from machine import describe_machine
from numpy.typing import NDArray
from scipy import ndimage
from torch import nn
from val_chips import model_and_config, shown, val_chips

from geohier.config.schema import TrainConfig
from geohier.data.chips import Chip
from geohier.data.label_objects import TOUCHING
from geohier.data.labels import IGNORE_INDEX
from geohier.models.hierarchy import HierarchicalSegmenter
from geohier.models.without_level import look_without

EDGES_M = (0.0, 4.0, 8.0, 12.0, 16.0, 24.0, 32.0, float("inf"))
"""Bounds of the sizes: diameters of discs of the same area, in metres."""

type Json = dict[str, Any]
type Bools = NDArray[np.bool_]
type Found = tuple[float, list[float], float]
"""Diameter of an object in metres; the shares that are found; and the level of its gates."""


def objects_of(network: nn.Module, config: TrainConfig, of_class: int) -> Iterator[Found]:
    """Yield the whole objects of a class in the val scenes of a config."""
    assert config.data.gsd_m is not None
    gsd_m = config.data.gsd_m * config.model.downsample
    for chip in val_chips(config):
        for pixels, recalls, level in in_chip(network, chip, of_class):
            yield (4 / np.pi * pixels) ** 0.5 * gsd_m, recalls, level


def by_bins(found: Sequence[Found]) -> list[Json]:
    """Return the means of the objects of each size."""
    sizes, recalls, levels = (np.array(one) for one in zip(*found, strict=True))
    bins = np.digitize(sizes, EDGES_M) - 1
    return [_of_bin(at, recalls[bins == at], levels[bins == at]) for at in range(len(EDGES_M) - 1)]


@torch.no_grad()
def in_chip(
    network: nn.Module, chip: Chip, of_class: int
) -> Iterator[tuple[int, list[float], float]]:
    """Yield pixels, recalls (by all levels, then without each) and gated level of each object."""
    image, labels = chip["image"][None], chip["mask"].numpy()
    seen = look_without(network, image)
    hits = [_found(seen.logits, of_class)] + [
        _found(look_without(network, image, without=level).logits, of_class)
        for level in range(len(seen.levels))
    ]
    gate = _gated_level(network, image)
    numbers, count = ndimage.label(labels == of_class, TOUCHING)
    beyond = ndimage.binary_dilation(labels == IGNORE_INDEX, TOUCHING, border_value=1)
    for number in sorted({*range(1, count + 1)} - {*np.unique(numbers[beyond])}):
        at = numbers == number
        level = float("nan") if gate is None else float(gate[at].mean())
        yield int(at.sum()), [float(hit[at].mean()) for hit in hits], level


def _found(logits: torch.Tensor, of_class: int) -> Bools:
    found: Bools = (logits[0].argmax(0) == of_class).numpy()
    return found


def _gated_level(network: nn.Module, image: torch.Tensor) -> NDArray[np.float32] | None:
    """Return the mean number of the level that each pixel weighs, None without gates."""
    if not isinstance(network, HierarchicalSegmenter):
        return None
    gates = network.look(image).used.get("gates")
    if gates is None:
        return None
    numbers = torch.arange(gates.shape[1], dtype=torch.float32)[:, None, None]
    level = (gates[0] * numbers).sum(0)
    times = image.shape[-1] // level.shape[-1]
    large: NDArray[np.float32] = level.numpy().repeat(times, 0).repeat(times, 1)
    return large


def _of_bin(at: int, recalls: NDArray[np.float64], levels: NDArray[np.float64]) -> Json:
    high = EDGES_M[at + 1]
    if not len(recalls):
        return {"low_m": EDGES_M[at], "high_m": None if high == np.inf else high, "objects": 0}
    whole, *without = recalls.mean(0).tolist()
    return {
        "low_m": EDGES_M[at],
        "high_m": None if high == np.inf else high,
        "objects": len(recalls),
        "recall": whole,
        "recall_without": without,
        "gated_level": None if np.isnan(levels).any() else float(levels.mean()),
    }


def main() -> None:
    """Measure one model and write the results page."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("name", help="of the result: docs/results/levels-NAME.json")
    parser.add_argument(
        *("--model", "-m"),
        type=Path,
        action="append",
        required=True,
        help="model directory in its run folder; of several, each is judged on its own val",
    )
    parser.add_argument("--data-root", required=True, help="folder of its data set")
    parser.add_argument("--class", dest="of_class", help="default: the last one")
    parser.add_argument("--remark", default="", help="what a reader should know of the model")
    arguments = parser.parse_args()
    found: list[Found] = []
    for path in arguments.model:
        network, config = model_and_config(path, arguments.data_root)
        names = [one.name for one in config.data.classes]
        of_class = arguments.of_class or names[-1]
        found += objects_of(network, config, names.index(of_class))
    models = shown(arguments.model)
    document = {
        "command": f"python tests/bench/by_size.py {arguments.name} {models} --data-root ...",
        "remark": arguments.remark,
        "machine": describe_machine(),
        "found": {"class": of_class, "sizes": by_bins(found)},
    }
    render.publish(f"levels-{arguments.name}", document)


if __name__ == "__main__":
    main()
