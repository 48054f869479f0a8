"""Score what models remember on val against nothing, and write docs/results/wiped-NAME.json.

Models of one config that differ by their seed are given together; val is predicted twice with each,
as `geohier evaluate` does it.

    python tests/bench/wiped_memory.py buildings --data-root data/hot_buildings \\
        --model runs/ablate-parts/cells/memory.slots=4-0/model
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import render
from machine import describe_machine
from numpy.typing import NDArray
from val_chips import shown

from geohier.config.load import load_config
from geohier.config.schema import TrainConfig
from geohier.errors import GeohierError, ModelError
from geohier.evaluation.bootstrap import bootstrap, paired_difference
from geohier.layers.memory import memories
from geohier.models.directory import LoadedModel, load_model
from geohier.studies.evaluate_model import evaluate_model

type Json = dict[str, Any]
type Counts = NDArray[np.int64]


def with_and_without(model: LoadedModel, config: TrainConfig) -> tuple[Counts, Counts]:
    """Return the confusion counts `(N, K, K)` of the blocks of val, remembering and wiped.

    Raises:
        ModelError: the model has no memory.
    """
    found = memories(model.module)
    if not found:
        raise ModelError("this model has no memory that could be wiped")
    kept = _blocks(model, config)
    for memory in found:
        memory.wipe()
    return kept, _blocks(model, config)


def _blocks(model: LoadedModel, config: TrainConfig) -> Counts:
    return np.concatenate([*evaluate_model(model, config, "val").blocks.values()])


def compare(runs: Sequence[tuple[Counts, Counts]], classes: Sequence[str]) -> list[Json]:
    """Return IoU of each class and of their mean, remembering and wiped, and the difference."""
    kept, wiped = (np.stack(one) for one in zip(*runs, strict=True))
    of_each = zip(
        [*classes, "macro"],
        bootstrap(kept),
        bootstrap(wiped),
        paired_difference(kept, wiped),
        strict=True,
    )
    return [
        {"class": name, "kept": asdict(one), "wiped": asdict(other), "difference": asdict(gain)}
        for name, one, other, gain in of_each
    ]


def main() -> None:
    """Measure some models and write the results page."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("name", help="of the result: docs/results/wiped-NAME.json")
    parser.add_argument(
        "--model", type=Path, action="append", required=True, help="in its run folder"
    )
    parser.add_argument("--data-root", required=True, help="folder of their data set")
    parser.add_argument("--remark", default="", help="what a reader should know of the models")
    arguments = parser.parse_args()
    runs = []
    for path in arguments.model:
        root = [f"data_root={arguments.data_root}"]
        config = load_config(path.parent / "config.yaml", root)
        runs.append(with_and_without(load_model(path), config))
    document = {
        "command": f"python tests/bench/wiped_memory.py {arguments.name} "
        f"{shown(arguments.model)} --data-root ...",
        "remark": arguments.remark,
        "machine": describe_machine(),
        "found": {
            "models": len(runs),
            "scores": compare(runs, [one.name for one in config.data.classes]),
        },
    }
    render.publish(f"wiped-{arguments.name}", document)


if __name__ == "__main__":
    try:
        main()
    except GeohierError as error:
        sys.exit(str(error))
