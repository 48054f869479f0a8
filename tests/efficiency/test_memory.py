"""How much memory a process may take, in and out of containers."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil
import pytest
from doubles import ArrayReader

from geohier.efficiency import memory
from geohier.efficiency.environment import Check, examine
from geohier.efficiency.memory import total_bytes, usable_bytes
from geohier.geo.bands import Band, BandSet
from geohier.inference.options import PredictOptions
from geohier.inference.plan import plan_work
from geohier.models.card import ClassLabel, ModelCard

GIB = 2**30
UNLIMITED_V1 = 2**63 - 4096

Container = Callable[..., None]


class Memory(NamedTuple):
    total: int
    available: int


@pytest.fixture
def container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Container:
    """Return a function that puts the process into control groups on a machine of 64 GiB."""
    monkeypatch.setattr(psutil, "virtual_memory", lambda: Memory(64 * GIB, 48 * GIB))
    monkeypatch.setattr(memory, "ROOT", tmp_path)

    def write(membership: str, files: dict[str, object]) -> None:
        for name, text in {"proc/self/cgroup": membership, **files}.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{text}\n")

    return write


def v2(folder: str, limit: object, used: int, cached: int = 0) -> dict[str, object]:
    at = f"sys/fs/cgroup{folder}"
    stat = f"anon 5\ninactive_file {cached}"
    return {f"{at}/memory.max": limit, f"{at}/memory.current": used, f"{at}/memory.stat": stat}


def v1(folder: str, limit: object, used: int, cached: int = 0) -> dict[str, object]:
    at = f"sys/fs/cgroup/memory{folder}"
    return {
        f"{at}/memory.limit_in_bytes": limit,
        f"{at}/memory.usage_in_bytes": used,
        f"{at}/memory.stat": f"inactive_file 7\ntotal_inactive_file {cached}",
    }


@pytest.mark.parametrize(
    ("membership", "files", "total", "usable"),
    [
        ("0::/", {}, 64, 48),
        ("0::/", v2("", "max", 60 * GIB), 64, 48),
        ("0::/", v2("", 8 * GIB, 3 * GIB), 8, 5),
        ("0::/", v2("", 8 * GIB, 3 * GIB, cached=2 * GIB), 8, 7),
        ("0::/", v2("", 2 * GIB, 3 * GIB), 2, 0),
        ("0::/job/step", v2("/job", 8 * GIB, 3 * GIB) | v2("/job/step", "max", GIB), 8, 5),
        ("0::/job/step", v2("/job", 8 * GIB, 3 * GIB) | v2("/job/step", 4 * GIB, GIB), 4, 3),
        ("4:memory:/job", v1("/job", 8 * GIB, 3 * GIB, cached=GIB), 8, 6),
        ("4:memory:/unseen", v1("", 8 * GIB, 3 * GIB), 8, 5),
        ("4:memory:/\n3:cpuset:/", v1("", UNLIMITED_V1, 9 * GIB), 64, 48),
    ],
)
def test_the_tightest_limit_counts(
    container: Container, membership: str, files: dict[str, object], total: int, usable: int
) -> None:
    container(membership, files)
    assert (total_bytes(), usable_bytes()) == (total * GIB, usable * GIB)


def test_without_control_groups_the_machine_counts(container: Container, tmp_path: Path) -> None:
    assert (total_bytes(), usable_bytes()) == (64 * GIB, 48 * GIB)


def test_doctor_and_plan_know_the_limit_of_a_container(
    container: Container, tmp_path: Path
) -> None:
    def found() -> Check:
        return next(check for check in examine(tmp_path, fast=True) if check.name == "memory")

    assert (found().state, found().found) == ("ok", "48.0 GiB usable of 64.0 GiB")
    assert swaths() == 1
    container("0::/", v2("", 2 * GIB, GIB // 2))
    assert (found().state, found().found) == ("warn", "1.5 GiB usable of 2.0 GiB")
    assert swaths() > 1


def swaths() -> int:
    """Return into how many swaths a wide raster is cut."""
    nothing = np.broadcast_to(np.uint8(0), (1, 1000, 200_000))
    reader = ArrayReader(nothing, np.broadcast_to(np.True_, nothing.shape))
    band = Band(name="a", dtype="uint8", mean=0, std=1)
    classes = tuple(ClassLabel(name=name, color="#000000") for name in "ab")
    card = ModelCard(bands=BandSet((band,)), classes=classes)
    options = PredictOptions(size=256, overlap=64, device="cpu", precision="fp32")
    return len(plan_work(reader, card, options).swaths)
