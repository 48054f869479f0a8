"""Train decoders of one encoder side by side, score them on val, and write docs/results/.

Each cell is one training run, RUNS/CONFIG-DECODER-SEED. A cell that is finished is not run again,
one that was killed goes on, and cells may run in several processes: whatever is finished is in the
summary, docs/results/CONFIG.json.

    python tests/bench/compare.py                                   # every cell
    python tests/bench/compare.py buildings --decoder fpn --seed 0  # one cell
    python tests/bench/compare.py --summary                         # only write the summaries
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import render
import summary

from geohier.config.load import load_config
from geohier.config.schema import TrainConfig
from geohier.errors import ConfigError, GeohierError, InputError
from geohier.models.directory import load_model
from geohier.raster.durable import write_durably
from geohier.raster.lock import OutputLock
from geohier.studies.evaluate_model import evaluate_model

REPOSITORY = Path(__file__).resolve().parents[2]
CONFIGS = ("buildings", "forest")
DECODERS = ("fpn", "unet")
SEEDS = (0, 1, 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One training run of the comparison, and where it lies."""

    config: str
    decoder: str
    seed: int
    runs: Path

    @property
    def folder(self) -> Path:
        """Folder of the run."""
        return self.runs / f"{self.config}-{self.decoder}-{self.seed}"

    @property
    def scores(self) -> Path:
        """What became of the run: written last."""
        return self.folder / "val.json"

    @property
    def overrides(self) -> tuple[str, ...]:
        """What the run changes in the config; equal steps for all: no early stop."""
        return (
            f"model.decoder={self.decoder}",
            f"training.seed={self.seed}",
            "training.patience=null",
        )


def run_cell(cell: Cell, data_root: Path) -> None:
    """Train and score one cell, as far as it is not done yet."""
    if cell.scores.is_file():
        return
    root = f"data_root={data_root.resolve()}"
    config = load_config(config_path(cell.config), [*cell.overrides, root])
    cell.runs.mkdir(parents=True, exist_ok=True)
    lock = OutputLock(cell.runs / f"{cell.folder.name}-cell")
    try:
        if not (cell.folder / "model").is_dir():
            subprocess.run(training_command(cell, root), check=True, cwd=REPOSITORY)
        write_durably(cell.scores, (json.dumps(score(cell, config)) + "\n").encode())
    finally:
        lock.release()


def training_command(cell: Cell, *more: str) -> list[str]:
    """Return the command that trains a cell."""
    geohier = str(Path(sys.executable).with_name("geohier"))
    path = config_path(cell.config).relative_to(REPOSITORY)
    sets = [part for override in (*cell.overrides, *more) for part in ("--set", override)]
    return [geohier, "train", str(path), *sets, "--out", str(cell.folder), "--resume"]


def score(cell: Cell, config: TrainConfig) -> dict[str, Any]:
    """Predict and score val with a finished run."""
    rows = [json.loads(line) for line in (cell.folder / "metrics.jsonl").open(encoding="utf-8")]
    model = load_model(cell.folder / "model")
    check_run(cell, model.config, config, epochs=len(rows))
    found = evaluate_model(model, config, "val", out=cell.folder / "val", on_scene=say)
    if found.failures:  # the blocks of all cells must be the same
        raise InputError(f"{cell.folder}: scenes without scores: {dict(found.failures)}")
    return summary.of_run(cell.seed, config, rows, model, found)


def check_run(cell: Cell, trained: TrainConfig, wanted: TrainConfig, *, epochs: int) -> None:
    """Refuse a run of another config; without its early stop it may have had patience."""
    same = {"data": {"root"}, "training": {"patience", "workers"}}
    whole = epochs == wanted.training.epochs
    if not whole or trained.model_dump(exclude=same) != wanted.model_dump(exclude=same):
        raise ConfigError(
            f"{cell.folder} was trained with another config, or stopped at epoch {epochs}: "
            "remove it to train this cell anew"
        )


def write_summary(name: str, runs: Path) -> None:
    """Write what is finished of one config to docs/results/."""
    cells = [Cell(config=name, decoder=one, seed=n, runs=runs) for one in DECODERS for n in SEEDS]
    done = {
        decoder: [
            json.loads(cell.scores.read_text(encoding="utf-8"))
            for cell in cells
            if cell.decoder == decoder and cell.scores.is_file()
        ]
        for decoder in DECODERS
    }
    found = {decoder: results for decoder, results in done.items() if results}
    if found:
        document = summary.of_config(name, found)
        path = REPOSITORY / "docs" / "results" / f"{name}.json"
        write_durably(path, (json.dumps(document, indent=1) + "\n").encode())
        render.main()


def config_path(name: str) -> Path:
    """Return the file of a config."""
    return REPOSITORY / "configs" / f"{name}.yaml"


def say(text: str) -> None:
    """Print a line of progress."""
    print(text, file=sys.stderr, flush=True)


def read_arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("configs", nargs="*", default=CONFIGS, help="default: all")
    parser.add_argument("--decoder", action="append", choices=DECODERS, help="default: all")
    return read_common_arguments(parser, words)


def read_common_arguments(
    parser: argparse.ArgumentParser, words: Sequence[str] | None
) -> argparse.Namespace:
    """Read the command line, with the options that all comparisons share."""
    parser.add_argument("--seed", action="append", type=int, choices=SEEDS, help="default: all")
    parser.add_argument("--runs", type=Path, default=REPOSITORY / "runs", help="default: runs")
    root = os.environ.get("GEOHIER_DATA") or None
    parser.add_argument("--data-root", type=Path, default=root, help="default: $GEOHIER_DATA")
    parser.add_argument("--summary", action="store_true", help="run nothing, write the summary")
    arguments = parser.parse_args(words)
    if arguments.data_root is None and not arguments.summary:
        parser.error("give the folder of the data sets with --data-root, or in GEOHIER_DATA")
    return arguments


def chosen_cells(arguments: argparse.Namespace) -> Iterator[Cell]:
    """Yield the cells that are asked for, seeds outermost: pairs are complete early."""
    for name in arguments.configs:
        for seed in arguments.seed or SEEDS:
            for decoder in arguments.decoder or DECODERS:
                yield Cell(config=name, decoder=decoder, seed=seed, runs=arguments.runs.resolve())


def main() -> None:
    """Run what is asked for, and write the summary after each cell."""
    arguments = read_arguments()
    if not arguments.summary:
        for cell in chosen_cells(arguments):
            say(f"{cell.config}, {cell.decoder}, seed {cell.seed}")
            run_cell(cell, arguments.data_root)
            write_summary(cell.config, cell.runs)
    for name in arguments.configs:
        write_summary(name, arguments.runs.resolve())


if __name__ == "__main__":
    try:
        main()
    except GeohierError as error:
        sys.exit(str(error))
    except subprocess.CalledProcessError as error:  # it has said why
        sys.exit(error.returncode)
