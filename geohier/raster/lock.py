"""One run per output: a lock that dies with its process."""

import contextlib
import json
import os
import socket
from pathlib import Path

from filelock import FileLock, Timeout

from geohier.errors import OutputLockedError
from geohier.raster.durable import writing


class OutputLock:
    """Held by the run that writes `target`; the system frees it even after kill -9.

    The lock file names its holder. It is removed by the holder, while it holds the lock: whoever
    had opened the file before then finds another one, or none, under the name and tries anew.

    Raises:
        OutputLockedError: another run holds it.
        ResourceError: the folder cannot be written.
    """

    def __init__(self, target: Path) -> None:
        self.path = target.with_name(target.name + ".lock")
        self._lock = FileLock(self.path, timeout=0, thread_local=False)
        with writing(target):
            self._acquire(target)

    def release(self) -> None:
        """Let the next run in."""
        if self._lock.is_locked:
            try:
                with contextlib.suppress(OSError):  # some systems keep a file that is open
                    self.path.unlink()
            finally:
                self._lock.release()

    def _acquire(self, target: Path) -> None:
        try:
            self._lock.acquire()
        except Timeout:
            if not self.path.exists():  # a folder that takes no lock looks like one that is held
                self.path.touch()
            raise OutputLockedError(
                f"{target} is being written by {self._holder()}: wait for it or stop it first"
            ) from None
        holder = {"pid": os.getpid(), "host": socket.gethostname()}
        self.path.write_text(json.dumps(holder), encoding="utf-8")

    def _holder(self) -> str:
        try:
            holder = json.loads(self.path.read_text(encoding="utf-8"))
            return f"process {holder['pid']} on {holder['host']}"
        except (OSError, ValueError, KeyError, TypeError):
            return "another process"
