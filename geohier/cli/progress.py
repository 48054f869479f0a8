"""Progress of long work on stderr: how much, how fast, how long still."""

import sys
import time
from collections.abc import Callable

from geohier.cli.errors import say

LINES_PER_SCENE = 10
"""Where stderr is no terminal, a line is printed for each tenth of the work."""


def pixel_progress(name: str) -> Callable[[int, int], None]:
    """Return a function that shows the pixels done of a scene: a bar, or lines in a log."""
    if sys.stderr.isatty():
        return _bar(name)
    return _lines(name)


def _bar(name: str) -> Callable[[int, int], None]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%  {task.fields[rate]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    task = bar.add_task(name, total=None, rate="")
    started = time.perf_counter()
    first: int | None = None

    def show(done: int, total: int) -> None:
        nonlocal first
        if first is None:
            first = done
            bar.start()
        rate = megapixels_per_second(done - first, time.perf_counter() - started)
        bar.update(task, completed=done, total=total, rate=rate)
        if done >= total:
            bar.stop()

    return show


def _lines(name: str) -> Callable[[int, int], None]:
    started = time.perf_counter()
    first: int | None = None
    shown = 0

    def show(done: int, total: int) -> None:
        nonlocal first, shown
        first = done if first is None else first
        tenth = LINES_PER_SCENE * done // total
        if tenth <= shown:
            return
        shown = tenth
        seconds = time.perf_counter() - started
        rest = (total - done) * seconds / max(done - first, 1)
        rate = megapixels_per_second(done - first, seconds)
        say(f"{name}: {done / total:.0%}, {rate}, {rest:.0f} s left")

    return show


def megapixels_per_second(pixels: int, seconds: float) -> str:
    """Return a rate for people.

    Example:
        >>> megapixels_per_second(3_000_000, 2)
        '1.5 Mpx/s'
    """
    return f"{pixels / max(seconds, 1e-9) / 1e6:.3g} Mpx/s"
