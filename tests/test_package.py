"""The distribution: what the wheel carries, and that it works where the checkout is not."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from geohier.data.bundled import bundled_demo

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from the source distribution, so that both must be complete."""
    folder = tmp_path_factory.mktemp("dist")
    build(REPOSITORY, "sdist", folder)
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as unpacked:
        unpacked.extractall(folder / "unpacked", filter="data")
    (source,) = (folder / "unpacked").iterdir()
    build(source, "wheel", folder)
    (built,) = folder.glob("*.whl")
    return built


def build(source: Path, target: str, folder: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder)]
    subprocess.run(command, cwd=source, check=True, capture_output=True)


def working_uv() -> str:
    for candidate in ("uv", str(REPOSITORY / ".uv" / "bin" / "uv")):
        found = shutil.which(candidate)
        if found and subprocess.run([found, "--version"], capture_output=True).returncode == 0:
            return found
    pytest.fail("uv is needed: setup.sh brings it")


@pytest.fixture(scope="module")
def fresh_environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new environment with the packages of requirements.txt and the wheel; no checkout in it."""
    folder = tmp_path_factory.mktemp("environment") / "venv"
    uv = working_uv()
    into = ["--python", str(folder / "bin" / "python")]
    requirements = str(REPOSITORY / "requirements.txt")
    for arguments in (
        ["venv", "--python", sys.executable, str(folder)],
        ["pip", "sync", *into, "--require-hashes", requirements],
        ["pip", "install", *into, "--no-deps", str(wheel)],
        ["pip", "check", *into],
    ):
        subprocess.run([uv, "--quiet", *arguments], check=True, timeout=1200)
    return folder


def test_the_wheel_carries_the_package_the_demo_and_the_licence(wheel: Path) -> None:
    demo = bundled_demo()
    with zipfile.ZipFile(wheel) as archive:
        carried = set(archive.namelist())
        for path in demo.rglob("*"):
            if path.is_file():
                name = f"geohier/_demo/{path.relative_to(demo).as_posix()}"
                assert archive.read(name) == path.read_bytes()
    modules = {
        path.relative_to(REPOSITORY).as_posix() for path in (REPOSITORY / "geohier").rglob("*.py")
    }
    assert modules | {"geohier/py.typed"} <= carried
    assert {name.partition("/")[2] for name in carried} >= {"METADATA", "licenses/LICENSE"}
    assert {name.partition("/")[0].partition("-")[0] for name in carried} == {"geohier"}


def test_a_dependency_table_stands_in_the_metadata(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
        text = archive.read(name).decode()
    assert "Requires-Dist: torch>=" in text
    assert "License-Expression: Apache-2.0" in text


@pytest.mark.slow
def test_the_demo_runs_from_an_installed_wheel_in_another_folder(
    fresh_environment: Path, tmp_path: Path
) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}

    done = subprocess.run(
        [fresh_environment / "bin" / "geohier", "demo"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert str(REPOSITORY) not in done.stdout + done.stderr
    written = {path.suffix for path in tmp_path.rglob("*")}
    assert {".tif", ".png"} <= written
