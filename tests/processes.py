"""The command line in processes of its own, which can be killed, starved and asked to stop.

They are forked from a server that has imported everything, so that each starts at once.
"""

import multiprocessing
import os
import resource
import sys
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(
    ["pytest", "geohier.cli.main", "geohier.inference.many", "geohier.models.segmentation"]
)
PATIENCE_S = 120
"""A process that takes longer hangs."""


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
        largest_file: bytes beyond which no file can grow, as on a full disk.
    """

    def __init__(self, *words: object, logs: Path, largest_file: int | None = None) -> None:
        self.out, self.err = logs / "stdout", logs / "stderr"
        argv = ["geohier", *(str(word) for word in words)]
        self._process = SERVER.Process(target=_run, args=(argv, self.out, self.err, largest_file))
        self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.is_alive()

    def send(self, signal: int) -> None:
        os.kill(self.pid, signal)

    def wait(self) -> Ended:
        """Wait for the end; the code is that of `subprocess`, negative for a signal."""
        self._process.join(PATIENCE_S)
        assert self._process.exitcode is not None, f"hangs: {self.err.read_text()}"
        return Ended(self._process.exitcode, self.out.read_text(), self.err.read_text())

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
