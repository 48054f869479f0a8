"""How much memory this process may take: the machine's, or less where a container limits it.

A container sees the memory of the whole machine, and is killed when it takes more than its limit,
which the control groups of Linux tell: https://docs.kernel.org/admin-guide/cgroup-v2.html
"""

from collections.abc import Iterator
from pathlib import Path

import psutil

ROOT = Path("/")
"""Where `proc` and `sys` lie."""

NAMES = {
    "": ("memory.max", "memory.current", "inactive_file"),
    "memory": ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}
"""Limit, use, and field of `memory.stat` that counts files kept for speed, by controller: that of
version 2 has no name, and the folder of version 1 is called as the controller is."""


def total_bytes() -> int:
    """Return the memory that this process could have if no other took any."""
    limits = (limit for limit, _ in _groups())
    return min((int(psutil.virtual_memory().total), *limits))


def usable_bytes() -> int:
    """Return the memory that this process can still have."""
    left = (max(0, limit - used) for limit, used in _groups())
    return min((int(psutil.virtual_memory().available), *left))


def _groups() -> Iterator[tuple[int, int]]:
    """Yield limit and use of each limited control group that this process is in."""
    for controller, path in _memberships():
        limit, used, cached = NAMES[controller]
        top = ROOT / "sys/fs/cgroup" / controller
        own = top / path.lstrip("/")
        for folder in (own, *own.parents):
            most, now = _number(folder / limit), _number(folder / used)
            if most is not None and now is not None:
                yield most, max(0, now - _reclaimable(folder, cached))
            if folder == top:
                break


def _memberships() -> Iterator[tuple[str, str]]:
    """Yield controller and group of this process; a container's own group is the top for it."""
    try:
        lines = (ROOT / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers in NAMES:
            yield controllers, path


def _number(path: Path) -> int | None:
    """Return what a file of a control group holds; None for `max`, and where there is none."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _reclaimable(folder: Path, cached: str) -> int:
    """Return the bytes of files that are kept only as long as nobody needs the memory."""
    try:
        stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):
        return 0
    return int(stat.get(cached, 0))
