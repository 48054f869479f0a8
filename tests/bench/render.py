"""Write docs/results.md from docs/results/*.json: nothing on that page is typed by hand."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import ablation_table
import by_size_table
import command_line
import end_to_end
import exits_table
import gpu
import left_out_table
import memory
import pipeline
import probe_table
import robustness_table
import scores
import second_sensor_table
import throughput
import tiling
import wiped_memory_table
from share_plot import draw_shares

from geohier.raster.durable import write_durably

DOCS = Path(__file__).resolve().parents[2] / "docs"

BENCHES: Mapping[str, ModuleType] = {
    "pipeline": pipeline,
    "memory": memory,
    "end_to_end": end_to_end,
    "tiling": tiling,
    "throughput": throughput,
    "command_line": command_line,
    "gpu": gpu,
}
"""What `make bench` measures, in the order of the page."""

TITLES = {
    "bench-pipeline": "The pipeline alone",
    "bench-memory": "Memory",
    "bench-end_to_end": "End to end",
    "bench-tiling": "Tiled against untiled",
    "bench-throughput": "Training throughput",
    "bench-command_line": "Commands",
    "bench-gpu": "On a GPU",
}

_NOTHING = ["Not measured."]

INTRODUCTION = """# Results

This page is written by `make bench` and by `compare.py`, `left_out.py`, `ablations.py`,
`by_size.py`, `robustness.py`, `wiped_memory.py`, `second_sensor.py`, `exits.py` and `probe.py` of
tests/bench, from the files in [results/](results/), which hold every number behind it. Rates are in
raster Mpx/s, which count each pixel of the map once; redundancy is how many tile pixels the network
sees for each of them."""

type Json = Mapping[str, Any]


def main() -> None:
    """Write the page and its pictures."""
    (DOCS / "results.md").write_text(page(DOCS / "results"), encoding="utf-8")
    for name in _read(DOCS / "results"):
        if name.startswith("labels-"):
            config = name.removeprefix("labels-")
            draw_shares(_read(DOCS / "results"), config, DOCS / "images" / f"{name}.png")
        if name.startswith("exits-"):
            exits_table.draw(
                _read(DOCS / "results")[name]["found"], DOCS / "images" / f"{name}.png"
            )


def publish(name: str, document: Json) -> None:
    """Write a result and the page that shows it."""
    path = DOCS / "results" / f"{name}.json"
    write_durably(path, (json.dumps(document, indent=1) + "\n").encode())
    main()


def page(folder: Path) -> str:
    """Return the page of all results in a folder."""
    found = _read(folder)
    named = [*(f"bench-{name}" for name in BENCHES), *(n for n in found if "bench-" not in n)]
    lines, machine = [INTRODUCTION, ""], ""
    for name in named:
        one = found.get(name)
        lines += [
            f"## {_title(name)}",
            "",
            *(_section(name, one) if one else _NOTHING),
        ]
        if one is not None and machine != (machine := on(one["machine"])):
            lines += ["", f"Machine, here and below: {machine}."]
        lines += [""]
    return "\n".join(lines).replace("\n\n\n", "\n\n").rstrip() + "\n"


def _title(name: str) -> str:
    for kind, (heading, _) in KINDS.items():
        if name.startswith(kind):
            return TITLES.get(name, f"{heading}{name.removeprefix(kind)}")
    return f"Scores: {name}"


def _read(folder: Path) -> dict[str, Json]:
    """Return all results, by name."""
    return {
        path.stem: json.loads(path.read_text(encoding="utf-8"))
        for path in sorted(folder.glob("*.json"))
    }


def _section(name: str, one: Json) -> Iterator[str]:
    for kind, (_, describe) in KINDS.items():
        if name.startswith(kind):
            yield from describe(name, one)
            return
    yield from scores.describe(one)
    if name.startswith("labels-"):
        yield from ["", f"![IoU against the share of labels](images/{name}.png)"]


def _bench(name: str, one: Json) -> Iterator[str]:
    yield f"`{one['command']}`"
    yield ""
    yield from BENCHES[name.removeprefix("bench-")].describe(one["found"])


type Describe = Callable[[str, Json], Iterator[str]]

KINDS: Mapping[str, tuple[str, Describe]] = {
    "bench-": ("", _bench),
    "ablation-": ("Ablation: ", ablation_table.describe),
    "levels-": ("Levels and sizes: ", lambda _, one: by_size_table.describe(one)),
    "left-out-": ("Scenes left out in turn: ", lambda _, one: left_out_table.describe(one)),
    "robustness-": (
        "Outlines, calibration, noise: ",
        lambda _, one: robustness_table.describe(one),
    ),
    "second-": ("A second sensor: ", lambda _, one: second_sensor_table.describe(one)),
    "wiped-": ("A memory wiped: ", lambda _, one: wiped_memory_table.describe(one)),
    "exits-": ("Early exits: ", lambda name, one: exits_table.describe(one, name)),
    "probe-": ("Scores: probe-", lambda _, one: probe_table.describe(one)),
}
"""Headings of results and who describes them, by how their names start; the rest are scores."""


def on(machine: Json) -> str:
    """Describe a machine in one sentence."""
    return (
        f"{machine['processor']}, {machine['memory']} of memory, GPU: {machine['gpu']}; "
        f"{machine['versions']}"
    )


if __name__ == "__main__":
    main()
