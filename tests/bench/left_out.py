"""Train without each scene in turn, judge on it, and write docs/results/left-out-NAME.json.

Each cell is one training run, RUNS/CONFIG-VARIANT-SCENE-SEED, which goes on where it was stopped.

    python tests/bench/left_out.py buildings                       # every cell
    python tests/bench/left_out.py buildings --seed 0 --summary    # only write what is there
"""

import argparse
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import render
from compare import Cell, config_path, run_cell, say
from comparisons import Variant
from machine import describe_machine
from numpy.typing import NDArray

from geohier.config.load import load_config
from geohier.data.catalog import read_catalog
from geohier.evaluation.bootstrap import BLOCK_PX, Range, bootstrap, paired_difference
from geohier.evaluation.segmentation import class_scores

REPOSITORY = Path(__file__).resolve().parents[2]

type Json = dict[str, Any]
type Blocks = NDArray[np.int64]
type Key = tuple[str, str, int]
"""Variant, scene that is left out, seed."""

COURSE = ("steps", "megapixels", "still_rising", "seconds")


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """Two variants of a config that are judged on every scene, each trained on all others.

    Args:
        config: its name in configs/.
        variants: what each changes in it, by name; the difference is the first minus the second.
        scenes: column of split.csv that names the scenes.
        remark: what a reader of the table should know.
    """

    config: str
    variants: Mapping[str, tuple[str, ...]]
    scenes: str = "scene"
    remark: str = ""


STUDIES: Mapping[str, LeftOut] = {
    "buildings": LeftOut(
        config="buildings",
        variants={
            "hierarchy": ("model.decoder=hierarchy", "model.hierarchy.merge=gated"),
            "fpn": ("model.decoder=fpn",),
        },
    ),
}


def cells(study: LeftOut, seeds: Sequence[int], runs: Path, root: str) -> dict[Key, Cell]:
    """Return the cells by variant, scene and seed; seeds outermost, so that pairs come early."""
    data = load_config(config_path(study.config), [root]).data
    catalog = read_catalog(data)
    names = [one.id for one in (*catalog.train, *catalog.val)]
    return {
        (label, scene, seed): Cell(
            config=study.config,
            variant=Variant(f"{label}-{scene}", (*values, *_without(scene, names, study.scenes))),
            seed=seed,
            runs=runs,
        )
        for seed in seeds
        for scene in names
        for label, values in study.variants.items()
    }


def _without(scene: str, names: Sequence[str], column: str) -> tuple[str, ...]:
    others = ", ".join(name for name in names if name != scene)
    return (
        f"data.splits.column={column}",
        f"data.splits.train=[{others}]",
        f"data.splits.val=[{scene}]",
    )


def summarise(name: str, found: Mapping[Key, Cell]) -> Json | None:
    """Return the figures of the seeds that are complete, None where none is."""
    study, scenes = STUDIES[name], list(dict.fromkeys(scene for _, scene, _ in found))
    runs = _complete(found)
    if not runs:
        return None
    seeds = list(dict.fromkeys(seed for *_, seed in runs))
    classes = [*next(iter(runs.values()))["val"]["classes"], "macro"]
    blocks = {
        label: np.stack([_blocks(runs, label, scenes, seed) for seed in seeds])
        for label in study.variants
    }
    return {
        "command": f"python tests/bench/left_out.py {name}",
        "config": study.config,
        "remark": study.remark,
        "seeds": seeds,
        "block_px": BLOCK_PX,
        "machine": describe_machine(),
        "scenes": {
            scene: {label: _by_seed(runs, label, scene, seeds, classes) for label in blocks}
            for scene in scenes
        },
        "pooled": {label: _ranges(bootstrap(one), classes) for label, one in blocks.items()},
        "difference": {
            "of": " - ".join(blocks),
            "iou": _ranges(paired_difference(*blocks.values()), classes),
        },
        "runs": {
            label: [
                {key: run[key] for key in COURSE} for (of, *_), run in runs.items() if of == label
            ]
            for label in blocks
        },
    }


def _complete(found: Mapping[Key, Cell]) -> dict[Key, Json]:
    """Return what came of the cells of those seeds that are done on every scene."""
    missing = {seed for (*_, seed), cell in found.items() if not cell.scores.is_file()}
    return {
        key: json.loads(cell.scores.read_text(encoding="utf-8"))
        for key, cell in found.items()
        if key[-1] not in missing
    }


def _blocks(runs: Mapping[Key, Json], label: str, scenes: Sequence[str], seed: int) -> Blocks:
    """Return the confusion counts `(N, K, K)` of the blocks of all scenes."""
    return np.concatenate(
        [
            np.array(counts, np.int64)
            for scene in scenes
            for counts in runs[label, scene, seed]["blocks"].values()
        ]
    )


def _by_seed(
    runs: Mapping[Key, Json], label: str, scene: str, seeds: Sequence[int], classes: Sequence[str]
) -> dict[str, list[float]]:
    """Return the IoU of each class on one scene, seed by seed."""
    counts = [_blocks(runs, label, [scene], seed).sum(0) for seed in seeds]
    ious = class_scores(np.stack(counts))["iou"]
    return {
        name: [round(float(iou), 6) for iou in ious[:, at]] for at, name in enumerate(classes[:-1])
    }


def _ranges(ranges: Sequence[Range], classes: Sequence[str]) -> Json:
    return {
        name: {key: round(getattr(one, key), 6) for key in ("value", "low", "high")} | {"n": one.n}
        for name, one in zip(classes, ranges, strict=True)
    }


def main() -> None:
    """Run what is asked for, and write the summary after each cell."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", choices=[[], *STUDIES], default=[])
    parser.add_argument("--seed", action="append", type=int, help="default: 0, 1, 2")
    parser.add_argument("--runs", type=Path, default=REPOSITORY / "runs", help="default: runs")
    parser.add_argument("--data-root", type=Path, default=os.environ.get("GEOHIER_DATA"))
    parser.add_argument("--summary", action="store_true", help="run nothing, write the summary")
    arguments = parser.parse_args()
    if arguments.data_root is None:
        parser.error("give the folder of the data sets with --data-root, or in GEOHIER_DATA")
    for name in arguments.names or STUDIES:
        root = f"data_root={Path(arguments.data_root).resolve()}"
        seeds = arguments.seed or (0, 1, 2)
        found = cells(STUDIES[name], seeds, arguments.runs.resolve(), root)
        for (label, scene, seed), cell in found.items():
            if not arguments.summary:
                say(f"{name} without {scene}, {label}, seed {seed}")
                run_cell(cell, Path(arguments.data_root))
            document = summarise(name, found)
            if document is not None:
                render.publish(f"left-out-{name}", document)


if __name__ == "__main__":
    main()
