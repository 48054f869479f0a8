"""Train the variants of a config side by side, score them on val, and write docs/results/.

Each cell is one training run, RUNS/CONFIG-VARIANT-SEED. A cell that is finished is not run again,
one that was killed goes on, and cells may run in several processes: whatever is finished is in the
summary, docs/results/NAME.json. `comparisons.py` says what is compared.

    python tests/bench/compare.py                                      # every cell
    python tests/bench/compare.py buildings --variant fpn --seed 0     # one cell
    python tests/bench/compare.py --summary                            # only write the summaries
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import render
import summary
from comparisons import COMPARISONS, PRETRAINED, PRETRAININGS, SEEDS, Variant

from geohier.config.load import load_config
from geohier.config.schema import TrainConfig
from geohier.errors import ConfigError, GeohierError, InputError
from geohier.models.directory import load_model
from geohier.raster.durable import write_durably
from geohier.raster.lock import OutputLock
from geohier.studies.evaluate_model import evaluate_model

REPOSITORY = Path(__file__).resolve().parents[2]

type Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One training run of a comparison, and where it lies."""

    config: str
    variant: Variant
    seed: int
    runs: Path

    @property
    def folder(self) -> Path:
        """Folder of the run."""
        return self.runs / f"{self.config}-{self.variant.run}-{self.seed}"

    @property
    def scores(self) -> Path:
        """What became of the run: written last."""
        return self.folder / "val.json"

    @property
    def overrides(self) -> tuple[str, ...]:
        """What the run changes in the config; equal steps for all: no early stop."""
        own = (override.format(runs=self.runs) for override in self.variant.overrides)
        return (*own, f"training.seed={self.seed}", "training.patience=null")

    @property
    def is_pretrained(self) -> bool:
        """Whether it starts from a run of pretraining."""
        return any(PRETRAINED in override for override in self.variant.overrides)


def run_cell(cell: Cell, data_root: Path) -> None:
    """Train and score one cell, as far as it is not done yet."""
    if cell.scores.is_file():
        return
    root = f"data_root={data_root.resolve()}"
    cell.runs.mkdir(parents=True, exist_ok=True)
    lock = OutputLock(cell.runs / f"{cell.folder.name}-cell")
    try:
        if cell.is_pretrained:
            pretrain(cell.config, cell.runs, root)
        config = load_config(config_path(cell.config), [*cell.overrides, root])
        if not (cell.folder / "model").is_dir():
            subprocess.run(training_command(cell, root), check=True, cwd=REPOSITORY)
        write_durably(cell.scores, (json.dumps(score(cell, config)) + "\n").encode())
    finally:
        lock.release()


def pretrain(name: str, runs: Path, root: str) -> None:
    """Pretrain what variants of a config start from, unless it is there."""
    chosen = PRETRAININGS[name]
    words = command("pretrain", chosen.config, [*chosen.overrides, root])
    folder = PRETRAINED.format(runs=runs) + name
    subprocess.run([*words, "--out", folder, "--resume"], check=True, cwd=REPOSITORY)


def training_command(cell: Cell, *more: str) -> list[str]:
    """Return the command that trains a cell."""
    words = command("train", cell.config, [*cell.overrides, *more])
    return [*words, "--out", str(cell.folder), "--resume"]


def command(verb: str, config: str, overrides: Sequence[str]) -> list[str]:
    """Return a command of geohier on one of its configs."""
    geohier = str(Path(sys.executable).with_name("geohier"))
    path = config_path(config).relative_to(REPOSITORY)
    sets = [part for override in overrides for part in ("--set", override)]
    return [geohier, verb, str(path), *sets]


def score(cell: Cell, config: TrainConfig) -> Json:
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
    same = {
        "data": {"root"},
        "training": {"patience", "workers"},
        "weights": {"file", "sha256"},  # a model keeps no path, and names the file by its SHA-256
    }
    whole = epochs == wanted.training.epochs
    if not whole or trained.model_dump(exclude=same) != wanted.model_dump(exclude=same):
        raise ConfigError(
            f"{cell.folder} was trained with another config, or stopped at epoch {epochs}: "
            "remove it to train this cell anew"
        )


def write_summary(name: str, runs: Path) -> None:
    """Write what is finished of one comparison to docs/results/."""
    found = finished_runs(name, runs)
    if found:
        document = summary.of_comparison(name, COMPARISONS[name], found)
        path = REPOSITORY / "docs" / "results" / f"{name}.json"
        write_durably(path, (json.dumps(document, indent=1) + "\n").encode())
        render.main()


def finished_runs(name: str, runs: Path) -> Mapping[str, Sequence[Json]]:
    """Return the finished runs of each variant that has some."""
    compared = COMPARISONS[name]
    found = {}
    for label, variant in compared.variants.items():
        cells = [Cell(config=compared.config, variant=variant, seed=n, runs=runs) for n in SEEDS]
        done = [cell.scores for cell in cells if cell.scores.is_file()]
        if done:
            found[label] = [json.loads(path.read_text(encoding="utf-8")) for path in done]
    return found


def config_path(name: str) -> Path:
    """Return the file of a config."""
    return REPOSITORY / "configs" / f"{name}.yaml"


def say(text: str) -> None:
    """Print a line of progress."""
    print(text, file=sys.stderr, flush=True)


def read_arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "names", nargs="*", default=COMPARISONS, metavar="NAME", help=f"of {' '.join(COMPARISONS)}"
    )
    parser.add_argument("--variant", action="append", help="default: all of each")
    parser.add_argument("--seed", action="append", type=int, choices=SEEDS, help="default: all")
    parser.add_argument("--runs", type=Path, default=REPOSITORY / "runs", help="default: runs")
    root = os.environ.get("GEOHIER_DATA") or None
    parser.add_argument("--data-root", type=Path, default=root, help="default: $GEOHIER_DATA")
    parser.add_argument("--summary", action="store_true", help="run nothing, write the summary")
    arguments = parser.parse_args(words)
    for name in set(arguments.names) - set(COMPARISONS):
        parser.error(f"no comparison {name!r}: choose from {', '.join(COMPARISONS)}")
    known = {label for name in arguments.names for label in COMPARISONS[name].variants}
    for label in set(arguments.variant or ()) - known:
        parser.error(f"no variant {label!r}: choose from {', '.join(sorted(known))}")
    if arguments.data_root is None and not arguments.summary:
        parser.error("give the folder of the data sets with --data-root, or in GEOHIER_DATA")
    return arguments


def chosen_cells(arguments: argparse.Namespace) -> Iterator[tuple[str, str, Cell]]:
    """Yield the cells that are asked for, seeds outermost: pairs are complete early."""
    runs = arguments.runs.resolve()
    for name in arguments.names:
        compared = COMPARISONS[name]
        for seed in arguments.seed or SEEDS:
            for label, variant in compared.variants.items():
                if label in (arguments.variant or compared.variants):
                    yield (
                        name,
                        label,
                        Cell(config=compared.config, variant=variant, seed=seed, runs=runs),
                    )


def main() -> None:
    """Run what is asked for, and write the summary after each cell."""
    arguments = read_arguments()
    if not arguments.summary:
        for name, label, cell in chosen_cells(arguments):
            say(f"{name}, {label}, seed {cell.seed}")
            run_cell(cell, arguments.data_root)
            write_summary(name, cell.runs)
    for name in arguments.names:
        write_summary(name, arguments.runs.resolve())


if __name__ == "__main__":
    try:
        main()
    except GeohierError as error:
        sys.exit(str(error))
    except subprocess.CalledProcessError as error:  # it has said why
        sys.exit(error.returncode)
