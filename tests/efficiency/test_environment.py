"""What the machine is tried for."""

import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

from geohier.efficiency import environment
from geohier.efficiency.environment import GIB, Check, examine


class Usage(NamedTuple):
    total: int
    free: int


def checks(folder: Path) -> dict[str, Check]:
    return {check.name: check for check in examine(folder, fast=True)}


def test_this_machine_can_predict(tmp_path: Path) -> None:
    found = checks(tmp_path)
    assert [check.name for check in found.values() if check.state == "fail"] == []
    assert "COG" in found["drivers"].found
    assert list(tmp_path.iterdir()) == []


def test_torch_and_torchvision_are_really_called(tmp_path: Path) -> None:
    found = {check.name: check for check in examine(tmp_path)}
    assert found["torch"].state == "ok"
    assert "operators work" in found["torch"].found


def test_a_pair_that_does_not_fit_fails_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when torch comes from another place than torchvision: its operators are missing."""
    import torchvision

    def nms(*_: object) -> None:
        raise RuntimeError("operator torchvision::nms does not exist\nmore lines")

    monkeypatch.setattr(torchvision.ops, "nms", nms)
    found = {check.name: check for check in examine(tmp_path)}["torch"]
    assert (found.state, found.found) == (
        "fail",
        "RuntimeError: operator torchvision::nms does not exist",
    )
    assert "one pair" in found.advice


def test_fast_does_not_import_torch(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from geohier.efficiency.environment import examine; "
        f"list(examine(Path({str(tmp_path)!r}), fast=True)); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(("free", "state"), [(0.01, "fail"), (1, "warn"), (100, "ok")])
def test_little_disk_warns_and_none_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: float, state: str
) -> None:
    usage = Usage(total=100 * GIB, free=int(free * GIB))
    monkeypatch.setattr(psutil, "disk_usage", lambda _: usage)
    assert checks(tmp_path)["disk"].state == state


def test_a_folder_that_cannot_be_written_fails(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    found = checks(tmp_path / "file")
    assert found["write test"].state == "fail"
    assert "--folder" in found["write test"].advice


def test_threads_that_hide_a_full_disk_are_warned_about(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GDAL_NUM_THREADS", "ALL_CPUS")
    assert checks(tmp_path)["gdal threads"].state == "warn"


def test_data_of_another_proj_is_warned_about(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROJ_LIB", str(tmp_path))
    assert checks(tmp_path)["proj"].state in ("warn", "fail")


def test_a_missing_driver_fails_or_warns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pyogrio

    monkeypatch.setattr(pyogrio, "list_drivers", lambda: {"GeoJSON": "rw"})
    found = checks(tmp_path)["drivers"]
    assert found.state == "warn"
    assert "GPKG, FlatGeobuf" in found.advice


def test_a_check_that_crashes_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise ImportError("libproj.so.25: cannot open shared object file")

    monkeypatch.setattr(environment, "_proj", broken)
    assert checks(tmp_path)["proj"].found.startswith("ImportError: libproj")
