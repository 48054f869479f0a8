"""Run the ablations of docs/results.md, and write docs/results/ablation-NAME.json and its picture.

Each is one `geohier ablate` in RUNS/ablate-NAME, which goes on where it was stopped.

    python tests/bench/ablations.py                        # all of them
    python tests/bench/ablations.py parts                  # one
    python tests/bench/ablations.py parts --summary        # only write what is there
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import render
import torch
from machine import describe_machine

REPOSITORY = Path(__file__).resolve().parents[2]

type Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """One ablation.

    Args:
        config: its name in configs/.
        axes: their names in configs/ablations/.
        seeds: trainings of each variant.
        overrides: what all cells change in the config.
        remark: what a reader of the table should know.
    """

    config: str
    axes: tuple[str, ...]
    seeds: int
    overrides: tuple[str, ...] = ()
    remark: str = ""

    @property
    def words(self) -> tuple[str, ...]:
        """What a user would type after `geohier ablate`, without --out."""
        axes = [word for one in self.axes for word in ("--axes", f"configs/ablations/{one}.yaml")]
        sets = [word for one in self.overrides for word in ("--set", one)]
        return (f"configs/{self.config}.yaml", *axes, "--seeds", str(self.seeds), *sets)


STUDIES: Mapping[str, Study] = {
    "parts": Study(
        config="hierarchy",
        axes=(
            *("merge", "fusion", "levels", "attention", "memory", "objectives", "context"),
            *("blocks", "encoders"),
        ),
        seeds=1,
        overrides=("training.epochs=4",),
        remark="A first look at every part: one seed each, so no difference here has a range. What "
        "seeds alone make of a score is in the ablations with several. The machine did other work "
        "meanwhile: its seconds are rough.",
    ),
}
"""By the names that files and headings go by."""


def run_study(name: str, runs: Path) -> None:
    """Run one ablation, as far as it is not done yet."""
    geohier = str(Path(sys.executable).with_name("geohier"))
    words = [geohier, "ablate", *STUDIES[name].words, "--out", str(folder_of(name, runs))]
    runs.mkdir(parents=True, exist_ok=True)
    subprocess.run([*words, "--resume"], check=True, cwd=REPOSITORY)


def folder_of(name: str, runs: Path) -> Path:
    """Return the folder of an ablation."""
    return runs / f"ablate-{name}"


def write_summary(name: str, runs: Path) -> None:
    """Write what is finished of one ablation to docs/."""
    folder, docs = folder_of(name, runs), REPOSITORY / "docs"
    found = folder / "ablation.json"
    if not found.is_file():
        return
    document = {
        "command": f"python tests/bench/ablations.py {name}",
        "runs": f"geohier ablate {' '.join(STUDIES[name].words)}",
        "remark": STUDIES[name].remark,
        "machine": describe_machine(),
        "threads": torch.get_num_threads(),
        "found": json.loads(found.read_text(encoding="utf-8")),
    }
    shutil.copyfile(folder / "ablation.png", docs / "images" / f"ablation-{name}.png")
    render.publish(f"ablation-{name}", document)


def read_arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {' '.join(STUDIES)}")
    parser.add_argument("--runs", type=Path, default=REPOSITORY / "runs", help="default: runs")
    parser.add_argument("--summary", action="store_true", help="run nothing, write the summary")
    arguments = parser.parse_args(words)
    for name in set(arguments.names) - set(STUDIES):
        parser.error(f"no ablation {name!r}: choose from {', '.join(STUDIES)}")
    if not arguments.summary and not os.environ.get("GEOHIER_DATA"):
        parser.error("give the folder of the data sets in GEOHIER_DATA")
    return arguments


def main() -> None:
    """Run what is asked for, and write the summaries."""
    arguments = read_arguments()
    for name in arguments.names or STUDIES:
        if not arguments.summary:
            run_study(name, arguments.runs.resolve())
        write_summary(name, arguments.runs.resolve())


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:  # it has said why
        sys.exit(error.returncode)
