"""Progress of long work on stderr: how much, how fast, how long still."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from geohier.cli.errors import say

LINES_PER_SCENE = 10
SECONDS_PER_LINE = 5
"""Where stderr is no terminal, a line is printed for each tenth of the work, but no more often."""

type Progress = Callable[[int, int], None]
"""Called with the pixels that are done and those there are, first before any work."""


def pixel_progress(name: str) -> AbstractContextManager[Progress]:
    """Show the pixels done of a scene while the context lasts: a bar, or lines in a log."""
    return _bar(name) if sys.stderr.isatty() else _lines(name)


@contextmanager
def _bar(name: str) -> Iterator[Progress]:
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    bar = Bar(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%  {task.fields[rate]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    task = bar.add_task(escape(name), total=None, rate="")
    pace = _Pace()

    def show(done: int, total: int) -> None:
        bar.update(task, completed=done, total=total, rate=pace.rate(done))

    with bar:
        yield show


@contextmanager
def _lines(name: str) -> Iterator[Progress]:
    pace = _Pace()
    shown, last = 0, time.perf_counter()

    def show(done: int, total: int) -> None:
        nonlocal shown, last
        rate = pace.rate(done)
        tenth = LINES_PER_SCENE * done // total
        if tenth <= shown or time.perf_counter() < last + SECONDS_PER_LINE:
            return
        shown, last = tenth, time.perf_counter()
        say(f"{name}: {done / total:.0%}, {rate}, {pace.seconds_for(total - done):.0f} s left")

    yield show


class _Pace:
    """How fast the work of this process goes on; what an earlier one did does not count."""

    def __init__(self) -> None:
        self.started = time.perf_counter()
        self.first: int | None = None
        self.done = 0

    def rate(self, done: int) -> str:
        self.first = done if self.first is None else self.first
        self.done = done - self.first
        return megapixels_per_second(self.done, time.perf_counter() - self.started)

    def seconds_for(self, pixels: int) -> float:
        return pixels * (time.perf_counter() - self.started) / max(self.done, 1)


def megapixels_per_second(pixels: int, seconds: float) -> str:
    """Return a rate for people.

    Example:
        >>> megapixels_per_second(3_000_000, 2)
        '1.5 Mpx/s'
    """
    return f"{pixels / max(seconds, 1e-9) / 1e6:.3g} Mpx/s"
