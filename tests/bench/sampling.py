"""Train with different samplers side by side, score on val, and write docs/results/.

As `compare.py` does for decoders: each cell is one training run, RUNS/CONFIG-SAMPLER-SEED; what is
finished is not run again, what was killed goes on, and cells may run in several processes. What is
finished is in docs/results/sampling-CONFIG.json; of two samplers, it says what one gains.

    python tests/bench/sampling.py                                       # every cell
    python tests/bench/sampling.py coast --sampler balanced --seed 0     # one cell
    python tests/bench/sampling.py --sampler labelled --sampler uniform  # others
    python tests/bench/sampling.py --summary                             # only write the summaries
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import compare
import render
import summary

from geohier.errors import GeohierError
from geohier.raster.durable import write_durably

CONFIGS = ("coast", "trees")
SAMPLERS = ("balanced", "uniform")
OTHERS = ("labelled", "objects", "hard")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell(compare.Cell):
    """One training run: what `compare.py` calls its decoder is the sampler here."""

    @property
    def overrides(self) -> tuple[str, ...]:
        """What the run changes in the config; equal steps for all: no early stop."""
        return (
            f"chips.sampler={self.decoder}",
            f"training.seed={self.seed}",
            "training.patience=null",
        )


def write_summary(name: str, runs: Path) -> None:
    """Write what is finished of one config, of all samplers, to docs/results/."""
    found = {}
    for sampler in (*SAMPLERS, *OTHERS):
        cells = [Cell(config=name, decoder=sampler, seed=n, runs=runs) for n in compare.SEEDS]
        done = [cell.scores.read_text(encoding="utf-8") for cell in cells if cell.scores.is_file()]
        if done:
            found[sampler] = [json.loads(text) for text in done]
    if found:
        document = {
            **summary.of_config(name, found),
            "command": f"python tests/bench/sampling.py {name}",
            "compared": "sampler",
        }
        path = compare.REPOSITORY / "docs" / "results" / f"sampling-{name}.json"
        write_durably(path, (json.dumps(document, indent=1) + "\n").encode())
        render.main()


def read_arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    default = " ".join(SAMPLERS)
    parser.add_argument("configs", nargs="*", default=CONFIGS, help="default: all")
    known = (*SAMPLERS, *OTHERS)
    parser.add_argument("--sampler", action="append", choices=known, help=f"default: {default}")
    return compare.read_common_arguments(parser, words)


def chosen_cells(arguments: argparse.Namespace) -> Iterator[Cell]:
    """Yield the cells that are asked for, seeds outermost: pairs are complete early."""
    for name in arguments.configs:
        for seed in arguments.seed or compare.SEEDS:
            for sampler in arguments.sampler or SAMPLERS:
                yield Cell(config=name, decoder=sampler, seed=seed, runs=arguments.runs.resolve())


def main() -> None:
    """Run what is asked for, and write the summary after each cell."""
    arguments = read_arguments()
    if not arguments.summary:
        for cell in chosen_cells(arguments):
            compare.say(f"{cell.config}, {cell.decoder}, seed {cell.seed}")
            compare.run_cell(cell, arguments.data_root)
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
