"""setup.sh and the lock files, with stand-ins for uv and python3, so without a network."""

import importlib.util
import os
import shutil
import signal
import stat
import subprocess
import time
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent

TOOLS = (
    "bash",
    "cat",
    "cp",
    "dirname",
    "env",
    "flock",
    "ln",
    "mkdir",
    "readlink",
    "rm",
    "sleep",
    "touch",
)

FAILING_SHIM = 'echo "shim: version 3.12 is not installed" >&2; exit 127'

UV = """
echo "uv $*" >>"$LOG"
case "$1 $2" in
    "--version ") echo "uv 1.0" ;;
    "venv "*) [ -z "$NO_PYTHON" ] || exit 2
        mkdir -p .venv/bin && cp "$STANDINS/working-python" .venv/bin/python ;;
    "pip sync") : >.venv/half-made; [ -z "$NO_NETWORK" ] || exit 2
        exec sleep "${SYNC_SECONDS:-0}" ;;
esac
"""

PYTHON = """
echo "$NAME $*" >>"$LOG"
case "$1 $2" in
    "-m venv") [ -z "$NO_VENV" ] || exit 1
        mkdir -p .uv/bin; cp "$STANDINS/pip-python" .uv/bin/python ;;
esac
"""

PIP = """
[ -z "$NO_NETWORK" ] || exit 1
cp "$STANDINS/uv-stored" .uv/bin/uv
"""


class Machine:
    """A checkout with fake packages, and a PATH that holds only what a test puts there."""

    def __init__(self, folder: Path) -> None:
        self.checkout = folder / "check out"
        self.bin = folder / "bin"
        self.standins = folder / "standins"
        self.log = folder / "log"
        for made in (self.checkout, self.bin, self.standins):
            made.mkdir()
        for name in ("requirements.txt", "pyproject.toml"):
            (self.checkout / name).write_text("")
            os.utime(self.checkout / name, (1, 1))
        shutil.copy(REPOSITORY / "setup.sh", self.checkout)
        for tool in TOOLS:
            if found := shutil.which(tool):
                (self.bin / tool).symlink_to(found)
        self.write(self.standins / "pip-python", PIP)
        self.write(self.standins / "uv-stored", UV)
        self.write(self.standins / "working-python", "exit 0")
        self.log.touch()

    def write(self, path: Path, body: str) -> None:
        path.parent.mkdir(exist_ok=True)
        path.write_text("#!/bin/bash\n" + body)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def has(self, name: str, body: str, folder: str = "bin") -> None:
        self.write(self.bin.parent / folder / name, f'NAME="{folder}/{name}"\n{body}')

    def start(self, *arguments: str, path: str = "bin", **extra: str) -> subprocess.Popen[str]:
        folders = [str(self.bin.parent / name) for name in path.split(":")]
        environment = {
            "PATH": ":".join(folders),
            "LOG": str(self.log),
            "STANDINS": str(self.standins),
            **extra,
        }
        return subprocess.Popen(
            [self.checkout / "setup.sh", *arguments],
            cwd="/",
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def set_up(self, path: str = "bin", **extra: str) -> tuple[int, str]:
        process = self.start(path=path, **extra)
        _, errors = process.communicate(timeout=30)
        return process.returncode, errors

    @property
    def calls(self) -> list[str]:
        return self.log.read_text().splitlines()

    @property
    def is_ready(self) -> bool:
        return (self.checkout / ".venv" / ".geohier-ready").exists()

    def syncs(self) -> int:
        return sum(call.startswith("uv pip sync") for call in self.calls)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_a_uv_that_runs_is_used_and_hashes_are_required(machine: Machine) -> None:
    machine.has("uv", UV)

    assert machine.set_up()[0] == 0

    assert machine.is_ready
    assert not (machine.checkout / ".uv").exists()
    sync = next(call for call in machine.calls if call.startswith("uv pip sync"))
    assert "--require-hashes requirements.txt" in sync
    assert "--no-deps --no-build-isolation --editable ." in machine.calls[-1]


def test_a_uv_that_is_on_the_path_but_fails_is_not_used(machine: Machine) -> None:
    machine.has("uv", FAILING_SHIM)
    machine.has("python3", PYTHON)

    assert machine.set_up()[0] == 0

    assert machine.is_ready
    assert (machine.checkout / ".uv" / "bin" / "uv").exists()


def test_a_python3_that_is_on_the_path_but_fails_is_passed_over(machine: Machine) -> None:
    machine.has("python3", FAILING_SHIM, folder="shims")
    machine.has("python3", PYTHON)

    assert machine.set_up(path="shims:bin")[0] == 0

    assert machine.is_ready
    assert "bin/python3 -m venv .uv" in machine.calls


def test_a_python3_without_venv_is_passed_over_for_one_that_has_it(machine: Machine) -> None:
    machine.has("python3", "NO_VENV=1\n" + PYTHON, folder="debian")
    machine.has("python3", PYTHON)

    assert machine.set_up(path="debian:bin")[0] == 0
    assert machine.is_ready


@pytest.mark.parametrize(
    ("python", "uv", "lacking", "message"),
    [
        (None, None, {}, "setup: no python3 on PATH runs: install Python 3.11 or later, or uv"),
        (FAILING_SHIM, None, {}, "setup: no python3 on PATH runs"),
        (PYTHON, None, {"NO_VENV": "1"}, "setup: python3 cannot make a virtual environment"),
        (PYTHON, None, {"NO_NETWORK": "1"}, "setup: uv could not be installed: check the network"),
        (None, UV, {"NO_PYTHON": "1"}, "setup: there is no Python 3.12 and none could be fetched"),
        (None, UV, {"NO_NETWORK": "1"}, "setup: the packages of requirements.txt could not be"),
    ],
    ids=["nothing", "shim", "no-venv", "no-network-for-uv", "no-python-3.12", "no-network"],
)
def test_what_is_lacking_is_said_in_the_last_line(
    machine: Machine, python: str | None, uv: str | None, lacking: dict[str, str], message: str
) -> None:
    if python:
        machine.has("python3", python)
    if uv:
        machine.has("uv", uv)

    code, errors = machine.set_up(**lacking)

    assert code == 5
    assert errors.splitlines()[-1].startswith(message)
    assert not machine.is_ready


def test_a_second_run_does_nothing(machine: Machine) -> None:
    machine.has("uv", UV)
    machine.set_up()
    machine.log.write_text("")

    assert machine.set_up() == (0, "")
    assert machine.calls == []


def test_new_requirements_are_brought_in_without_starting_over(machine: Machine) -> None:
    machine.has("uv", UV)
    machine.set_up()
    kept = machine.checkout / ".venv" / "kept"
    kept.touch()
    later = time.time() + 5
    os.utime(machine.checkout / "requirements.txt", (later, later))

    assert machine.set_up()[0] == 0

    assert machine.syncs() == 2
    assert kept.exists()


@pytest.mark.parametrize("flaw", ["moved", "dead python"])
def test_an_environment_that_no_longer_works_is_made_anew(machine: Machine, flaw: str) -> None:
    machine.has("uv", UV)
    machine.set_up()
    kept = machine.checkout / ".venv" / "kept"
    kept.touch()
    if flaw == "moved":
        machine.checkout = machine.checkout.rename(machine.checkout.with_name("elsewhere"))
    else:
        machine.write(machine.checkout / ".venv" / "bin" / "python", FAILING_SHIM)

    assert machine.set_up()[0] == 0

    assert machine.is_ready
    assert not (machine.checkout / ".venv" / "kept").exists()


def test_a_failed_update_is_not_taken_for_a_finished_environment(machine: Machine) -> None:
    machine.has("uv", UV)
    machine.set_up()
    later = time.time() + 5
    os.utime(machine.checkout / "requirements.txt", (later, later))

    assert machine.set_up(NO_NETWORK="1")[0] == 5
    os.utime(machine.checkout / "requirements.txt", (1, 1))

    assert not machine.is_ready
    assert machine.set_up()[0] == 0
    assert machine.is_ready


@pytest.mark.parametrize("lock", ["flock", "link"])
def test_two_at_once_make_one_environment(machine: Machine, lock: str) -> None:
    machine.has("uv", UV)
    if lock == "link":
        (machine.bin / "flock").unlink()

    both = [machine.start(SYNC_SECONDS="0.5") for _ in range(2)]

    for process in both:
        process.communicate(timeout=30)
    assert [process.returncode for process in both] == [0, 0]
    assert machine.syncs() == 1
    assert not (machine.checkout / ".setup.lock").is_symlink()


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_half_made_environment_is_made_anew(machine: Machine, blow: signal.Signals) -> None:
    machine.has("uv", UV)
    process = machine.start(SYNC_SECONDS="30")
    half_made = machine.checkout / ".venv" / "half-made"
    for _ in range(300):
        if half_made.exists():
            break
        time.sleep(0.02)
    os.killpg(process.pid, blow)
    process.communicate(timeout=30)
    marker = machine.checkout / ".venv" / "marker"
    marker.touch()

    assert not machine.is_ready
    assert machine.set_up()[0] == 0
    assert machine.is_ready
    assert not marker.exists()


def test_a_lock_that_a_killed_set_up_left_is_named(machine: Machine) -> None:
    machine.has("uv", UV)
    (machine.bin / "flock").unlink()
    dead = subprocess.Popen(["true"])
    dead.wait()
    (machine.checkout / ".setup.lock").symlink_to(str(dead.pid))

    code, errors = machine.set_up()

    assert code == 5
    assert "remove .setup.lock" in errors


def test_an_unknown_argument_is_refused(machine: Machine) -> None:
    process = machine.start("lokc")
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 5
    assert "unknown argument: lokc" in errors


def test_requirements_were_made_from_the_dependencies_of_today() -> None:
    spec = importlib.util.spec_from_file_location(
        "dependency_hash", REPOSITORY / "tools" / "dependency_hash.py"
    )
    assert spec is not None
    assert spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)

    recorded = (REPOSITORY / "requirements.sha256").read_text().strip()

    assert recorded == tool.dependency_hash(REPOSITORY / "pyproject.toml"), "run `make lock`"


def test_every_requirement_is_exact_and_hashed() -> None:
    text = (REPOSITORY / "requirements.txt").read_text()
    entries = text.replace("\\\n", " ").splitlines()
    assert len(entries) > 100
    assert [e for e in entries if "==" not in e or "--hash=sha256:" not in e] == []


@pytest.mark.parametrize("script", ["setup.sh", ".ci/run"])
def test_shell_scripts_parse_and_stop_at_the_first_error(script: str) -> None:
    path = REPOSITORY / script
    assert "set -euo pipefail" in path.read_text()
    assert os.access(path, os.X_OK)
    subprocess.run(["bash", "-n", path], check=True)


def test_make_explains_each_of_its_jobs() -> None:
    shown = subprocess.run(
        ["make", "help"], cwd=REPOSITORY, check=True, capture_output=True, text=True
    )
    explained = {line.split()[1] for line in shown.stdout.splitlines() if len(line.split()) > 3}
    assert explained >= {"demo", "test", "slow", "lint", "lock", "bench", "wheel", "clean", "help"}


@pytest.mark.slow
def test_a_fresh_checkout_sets_itself_up(tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    listed = subprocess.run(
        ["git", "ls-files"], cwd=REPOSITORY, check=True, capture_output=True, text=True
    )
    for name in listed.stdout.splitlines():
        target = checkout / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(REPOSITORY / name, target)

    subprocess.run(["make", "ready"], cwd=checkout, check=True, timeout=1200)

    shown = subprocess.run(
        [checkout / ".venv/bin/python", "-c", "import geohier; print(geohier.__file__)"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    )
    assert Path(shown.stdout.strip()) == checkout / "geohier" / "__init__.py"
