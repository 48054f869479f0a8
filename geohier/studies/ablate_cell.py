"""One cell of an ablation: trained, measured, and written down when it is done.

cells/NAME-SEED/
    run's own files     as of `geohier train`, but for its checkpoints, which are removed at the end
    cell.json           what came of it: written last
    val.json            its score on val, if val was asked
"""

import hashlib
import json
import math
import re
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from shutil import rmtree
from typing import Any

from geohier.config.load import deciding_values
from geohier.config.schema import TrainConfig
from geohier.data.prepare import prepare
from geohier.errors import InputError, OutputExistsError
from geohier.models.cost import measure_cost
from geohier.models.directory import LoadedModel, load_model
from geohier.raster.durable import write_durably
from geohier.studies.ablate_plan import Cell, Judge
from geohier.studies.evaluate_model import evaluate_model
from geohier.studies.level_figures import level_figures
from geohier.training.course import course_of
from geohier.training.fit import train
from geohier.training.log import read_rows
from geohier.training.run_folder import (
    CHECKPOINTS,
    MODEL,
    check_folder,
    pinned_weights,
)
from geohier.training.start import start_of_finished
from geohier.training.step_clock import StepClock, seconds_per_step

CELLS = "cells"
DONE = "cell.json"
ON_VAL = "val.json"
MAPS = "val"

LONGEST = 80

type Json = dict[str, Any]


def folder_of(out: Path, cell: Cell) -> Path:
    """Return the folder of a cell; names that no file may have are changed, and stay apart."""
    name = re.sub(r"[^\w.,=+-]+", "_", cell.variant.name, flags=re.ASCII).strip("._")[:LONGEST]
    if name != cell.variant.name:
        name += "-" + hashlib.sha256(cell.variant.name.encode()).hexdigest()[:6]
    return out / CELLS / f"{name}-{cell.seed}"


def state_of(folder: Path, judge: Judge) -> str:
    """Return how far a cell is: done, underway or to do."""
    files = (DONE,) if judge == "choose" else (DONE, ON_VAL)
    if all((folder / name).is_file() for name in files):
        return "done"
    return "underway" if folder.is_dir() else "to do"


def check_cell(folder: Path, config: TrainConfig) -> None:
    """Refuse a cell that is there already and is of another config.

    Raises:
        ConfigError: it is of another config, and its message says what differs.
        OutputExistsError: the folder holds something else, or what it says is damaged.
    """
    if not folder.exists():
        return
    start = start_of_finished(config, pinned_weights(folder))
    check_folder(folder, start.config, resume=True)
    for name in (DONE, ON_VAL):
        if (folder / name).is_file():
            _read(folder / name)


def run_cell(
    cell: Cell,
    config: TrainConfig,
    folder: Path,
    judge: Judge,
    *,
    allow_download: bool = False,
    on_scene: Callable[[str], None] = lambda name: None,
) -> Json:
    """Return what came of a cell, after whatever of it is left to do.

    Args:
        cell: which one.
        config: what it trains.
        folder: of the cell.
        judge: what scores are taken on.
        allow_download: fetch published weights that are not on this machine.
        on_scene: called with the name of each scene of val before it is predicted.

    Raises:
        GeohierError: it cannot be trained, or not judged.
    """
    if state_of(folder, judge) != "done":
        folder.parent.mkdir(parents=True, exist_ok=True)
        alone = config.training.processes == 1  # several cannot be watched
        watchers = [StepClock(folder)] if alone else []
        train(
            config,
            folder,
            resume=True,
            quiet=True,
            allow_download=allow_download,
            watchers=watchers,
        )
        model = load_model(folder / MODEL)
        if not (folder / DONE).is_file():
            _write(folder / DONE, _measured(cell, config, folder, model))
        if judge == "val":
            _write(folder / ON_VAL, _judged(config, folder, model, on_scene))
        rmtree(folder / CHECKPOINTS, ignore_errors=True)  # five times the weights, of every cell
        rmtree(folder / MAPS, ignore_errors=True)
    found = _read(folder / DONE)
    return found if judge == "choose" else found | {"val": _read(folder / ON_VAL)}


def _measured(cell: Cell, config: TrainConfig, folder: Path, model: LoadedModel) -> Json:
    """Return the course of a run, its score on the choose blocks, its costs and its levels."""
    rows, card = read_rows(folder), model.card
    course = course_of(rows, int(card.trained_on["best_epoch"]))  # type: ignore[call-overload]
    assert card.tile_size_px is not None
    side = -(-card.tile_size_px // card.stride) * card.stride
    cost = measure_cost(model.module, len(card.bands), side)["all"]
    return {
        "variant": cell.variant.name,
        "seed": cell.seed,
        "config": deciding_values(config),
        "model_sha256": model.sha256,
        "choose": card.scores["choose"],
        **asdict(course),
        "seconds_per_step": seconds_per_step(folder),
        **asdict(cost),
        "hierarchy": level_figures(model.module, config, prepare(config)),
    }


def _judged(
    config: TrainConfig, folder: Path, model: LoadedModel, on_scene: Callable[[str], None]
) -> Json:
    """Return the score on val, with the confusion counts of its blocks."""
    found = evaluate_model(model, config, "val", out=folder / MAPS, on_scene=on_scene)
    if found.failures:  # the blocks of all cells must be the same
        raise InputError(f"scenes of val without scores: {dict(found.failures)}")
    names = [str(name) for name in found.scores["class"].values]
    known = [None if math.isnan(one.value) else one.value for one in found.iou]
    return {
        "mean_iou": known[-1],
        "iou": dict(zip(names, known, strict=False)),
        "blocks": {name: counts.tolist() for name, counts in found.blocks.items()},
    }


def _write(path: Path, content: Json) -> None:
    write_durably(path, (json.dumps(content) + "\n").encode())


def _read(path: Path) -> Json:
    try:
        found: Json = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise OutputExistsError(
            f"{path} is damaged ({error}): remove it, and --resume measures this cell again"
        ) from error
    return found
