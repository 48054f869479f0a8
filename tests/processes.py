"""The command line in processes of its own, which can be killed, starved and asked to stop.

They are forked from a server that has imported everything, so that each starts at once.
"""

import contextlib
import multiprocessing
import os
import resource
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(
    ["pytest", "geohier.cli.main", "geohier.inference.many", "geohier.models.segmentation"]
)
PATIENCE_S = 600
"""A process that takes longer hangs, even on a machine with other work."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str


class Command(AbstractContextManager["Command"]):
    """`geohier ...` in a process of its own; it is killed when the context is left.

    Args:
        words: what is typed after `geohier`.
        logs: folder for what it says.
        terminal: path of a terminal that stands in for the file of stderr.
        largest_file: bytes beyond which no file can grow, as on a full disk.
    """

    def __init__(
        self,
        *words: object,
        logs: Path,
        terminal: Path | None = None,
        largest_file: int | None = None,
    ) -> None:
        self._out, self._err = logs / "stdout", logs / "stderr"
        self._err.touch()
        argv = ["geohier", *(str(word) for word in words)]
        given = (argv, self._out, terminal or self._err, largest_file)
        self._process = SERVER.Process(target=_run, args=given)
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    def send(self, number: int) -> None:
        """Send a signal, if there still is somebody to get it."""
        if self._process.is_alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def wait_until(self, reached: Callable[[], bool]) -> None:
        """Wait until something is so, or the process has ended."""
        until = time.monotonic() + PATIENCE_S
        while self._process.is_alive() and not reached():
            assert time.monotonic() < until, f"hangs: {self._err.read_text()}"
            time.sleep(0.001)

    def wait(self) -> Ended:
        """Wait for the end; the code is that of `subprocess`, negative for a signal."""
        self._process.join(PATIENCE_S)
        assert self._process.exitcode is not None, f"hangs: {self._err.read_text()}"
        return Ended(self._process.exitcode, self._out.read_text(), self._err.read_text())

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.join()
        self._process.close()


def _run(argv: list[str], out: Path, err: Path, largest_file: int | None) -> None:
    for path, stream in ((out, 1), (err, 2)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
    if largest_file is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, resource.RLIM_INFINITY))
    sys.argv = argv
    from geohier.cli.main import run

    run()
