"""Training from scenes on disk, against the same model's steps on chips held in memory."""

from collections.abc import Iterator
from typing import Any

import fresh
from table import table

type Json = dict[str, Any]

CONFIGS = ("buildings", "trees")
STEPS, TURNS = 24, 8
"""Steps of a turn, and turns of each kind."""


def measure(*, quick: bool) -> Json:
    """Return chips per second of each config, where its data set is there."""
    steps, turns = (8, 3) if quick else (STEPS, TURNS)
    return {
        "steps": steps,
        "turns": turns,
        "runs": {
            name: fresh.call("training_turns:run", config=name, steps=steps, turns=turns)
            for name in CONFIGS
        },
    }


def describe(found: Json) -> Iterator[str]:
    """Yield the lines of the results page."""
    runs = {name: one for name, one in found["runs"].items() if one is not None}
    if not runs:
        yield "Not measured: $GEOHIER_DATA was no folder of the data sets."
        return
    first = next(iter(runs.values()))
    yield (
        f"Trainings by configs of this repository, {first['threads']} threads, "
        f"{first['precision']} on {first['device']}, chips cut by {first['workers']} process "
        f"beside the training. {found['turns']} times in turn: {found['steps']} steps of the "
        f"training as it is, and {found['steps']} steps of the same network, losses and optimiser "
        "on batches that are in memory, while the process that cuts chips is stopped. The share "
        "is the chips per second of the former over those of the latter: cutting and changing "
        "chips, averaging weights and keeping the log included, judging left out. Target: at "
        "least 0.85. The same of processor time depends less on what else the machine does."
    )
    yield ""
    header = ("config", "chip px", "chips/s", "in memory", "share", "of processor time", "waiting")
    rows = [
        (
            name,
            str(one["size_px"]),
            f"{one['training']:.2f}",
            f"{one['in_memory']:.2f}",
            f"{one['training'] / one['in_memory']:.3f}",
            f"{one['processor']:.3f}",
            f"{one['waiting']:.1%}",
        )
        for name, one in runs.items()
    ]
    yield from table(header, rows)
