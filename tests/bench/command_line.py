"""What a user waits for first: help, and the demo."""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from table import table

type Json = dict[str, Any]

REPEATS = 5
GEOHIER = str(Path(sys.executable).with_name("geohier"))


def measure(*, quick: bool) -> Json:
    """Return the wall time of each command, in seconds."""
    repeats = 2 if quick else REPEATS
    with tempfile.TemporaryDirectory(prefix="geohier-bench-") as folder:
        demos = [_seconds("demo", "--out", f"{folder}/{at}") for at in range(1 if quick else 3)]
    return {"help": [_seconds("--help") for _ in range(repeats)], "demo": demos}


def describe(found: Json) -> Iterator[str]:
    """Yield the lines of the results page."""
    yield "Wall time of whole commands, median of several, with everything they import."
    yield ""
    rows = [
        (f"`geohier {command}`", f"{statistics.median(found[name]):.2f} s", target)
        for name, command, target in (
            ("help", "--help", "under 0.5 s"),
            ("demo", "demo", "under 60 s"),
        )
    ]
    yield from table(("command", "seconds", "target"), rows)


def _seconds(*words: str) -> float:
    start = time.perf_counter()
    subprocess.run([GEOHIER, *words], check=True, capture_output=True)
    return round(time.perf_counter() - start, 3)
