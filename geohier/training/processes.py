"""Several processes that train one model: how they start, meet and end.

They are started afresh, each with what it works on, so this serves the command line, scripts and
notebooks alike; to run the command line again in each, as other launchers do, would serve the first
alone. All of them are children of a process that only waits: whatever ends one of them, it ends the
others, even where they wait for a GPU, and nobody is left behind.
"""

import os
import pickle
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import connection, get_context, parent_process
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import distributed

from geohier import errors
from geohier.efficiency.precision import choose_device
from geohier.errors import GeohierError, ResourceError

if TYPE_CHECKING:
    from multiprocessing.queues import SimpleQueue

LOOPBACK = {"linux": "lo", "darwin": "lo0"}
"""The network of a machine with itself: nothing is to listen to any other."""

MOST_SAID = 10_000
"""Characters of a traceback that are told: so few are written to a pipe in one go, and a process
that is killed meanwhile leaves no half of them, on whose end a reader would wait for ever."""


@dataclass(frozen=True, slots=True)
class _Report:
    """What ended a process: the name of its class, and what it said."""

    kind: str
    text: str


def run_in_processes(count: int, work: Callable[[], None]) -> None:
    """Do a work in several processes that can reach each other, and wait for all of them.

    Args:
        count: how many.
        work: can be pickled; `current_rank` tells it which process it is in.

    Raises:
        GeohierError: one of them raised it.
        ResourceError: one of them was killed.
        RuntimeError: one of them met with a bug, whose traceback this has.
    """
    context = get_context("spawn")
    reports: SimpleQueue[_Report] = context.SimpleQueue()
    given = pickle.dumps(work)  # the plain pickler: torch's would share the weights between all
    threads = max(1, torch.get_num_threads() // count)
    with tempfile.TemporaryDirectory(prefix="geohier-") as folder:
        meeting = Path(folder, "meeting").as_uri()
        members = [
            context.Process(target=_join_in, args=(at, count, meeting, threads, given, reports))
            for at in range(count)
        ]
        try:
            with _quiet_libraries():
                for one in members:
                    one.start()
            failed = _first_failed(members)
        finally:
            for one in members:
                if one.pid is not None:
                    one.kill()
                    one.join()
    if failed is not None:
        raise _in_own_words(failed, reports)


@contextmanager
def _quiet_libraries() -> Iterator[None]:
    """Start processes in which PyTorch's C++ tells of errors alone, unless a user wants more."""
    key = "TORCH_CPP_LOG_LEVEL"
    before = os.environ.get(key)
    os.environ.setdefault(key, "ERROR")
    try:
        yield
    finally:
        if before is None:
            del os.environ[key]


def _first_failed(members: Sequence[BaseProcess]) -> BaseProcess | None:
    """Wait until all have ended, or one has failed; one that was killed is told before others."""
    left = list(members)
    while left:
        connection.wait([one.sentinel for one in left])
        left = [one for one in members if one.exitcode is None]
        failed = [one for one in members if one.exitcode]
        if failed:
            return min(failed, key=lambda one: one.exitcode or 0)
    return None


def _in_own_words(failed: BaseProcess, reports: "SimpleQueue[_Report]") -> Exception:
    """Return what ended the processes: what geohier raised on purpose says more than the rest."""
    told = []
    while not reports.empty():
        told.append(reports.get())
    for one in told:
        known = MemoryError if one.kind == "MemoryError" else getattr(errors, one.kind, None)
        if known is not None:
            raised: Exception = known(one.text)
            return raised
    if (failed.exitcode or 0) < 0 or not told:
        return ResourceError(
            "one of the processes that train was killed; if memory ran out, lower "
            "training.processes or chips.batch_size in a new run, else go on with --resume"
        )
    return RuntimeError(f"one of the processes that train met with a bug:\n{told[0].text}")


def _join_in(
    number: int,
    count: int,
    meeting: str,
    threads: int,
    given: bytes,
    reports: "SimpleQueue[_Report]",
) -> None:
    """Meet the other processes and work; runs in a process of its own."""
    for interruption in (signal.SIGINT, signal.SIGTERM):  # whoever waits for this one ends it
        signal.signal(interruption, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(threads)
    try:
        os.environ["LOCAL_RANK"] = str(number)  # tells Lightning that its processes exist
        _meet(number, count, meeting)
        pickle.loads(given)()
    except BaseException as error:
        reports.put(_report(error))
        sys.stderr.flush()
        os._exit(1)  # an orderly end would wait for the others
    distributed.destroy_process_group()


def _meet(number: int, count: int, meeting: str) -> None:
    on_gpu = choose_device().type == "cuda"
    if on_gpu:
        torch.cuda.set_device(number)
    elif sys.platform in LOOPBACK:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", LOOPBACK[sys.platform])
    distributed.init_process_group(
        "nccl" if on_gpu else "gloo",
        init_method=meeting,
        rank=number,
        world_size=count,
        device_id=torch.device("cuda", number) if on_gpu else None,
    )


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _report(error: BaseException) -> _Report:
    if isinstance(error, GeohierError):
        known = next(one for one in type(error).__mro__ if one.__module__ == errors.__name__)
        return _Report(known.__name__, str(error))
    if isinstance(error, MemoryError):
        return _Report("MemoryError", str(error))
    return _Report("", traceback.format_exc()[-MOST_SAID:])
