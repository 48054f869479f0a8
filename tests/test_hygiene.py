"""The files of the repository themselves: what they may say, weigh and be."""

import hashlib
import json
import re
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
MIB = 2**20

# Each pattern is spelled in two pieces, so that this file does not hold what it looks for.
REGISTRY = "|".join(
    [
        r"pypi\." + r"org",
        r"python" + r"hosted\.org",
        r"download\.py" + r"torch\.org",
        r"ana" + r"conda\.(org|com)",
        r"registry\.n" + r"pmjs",
        r"crates\." + r"io",
    ]
)
PLACE_ON_A_MACHINE = "|".join(
    [
        r"(?<![\w.~-])/(wo" + r"rk|ro" + r"ot|ho" + r"me|Us" + r"ers)/\w",
        r"\b[A-Z]:\\\\?Us" + r"ers\b",
        r"(?<![\w.])/opt/\w*py" + r"pi",
        r"/tmp/" + r"pytest-of",
    ]
)
LABELLED_SCENES = r"\.\./sh" + r"ared"

FORBIDDEN = {
    "the host of a package registry": REGISTRY,
    "a path of somebody's machine": PLACE_ON_A_MACHINE,
    "the folder of the labelled scenes": LABELLED_SCENES,
}


@pytest.fixture(scope="module")
def tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    if listed.returncode != 0:
        pytest.skip("this is not a git checkout")
    names = [name for name in listed.stdout.split("\0") if name]
    return [REPOSITORY / name for name in names if (REPOSITORY / name).is_file()]


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_tracked_file_names(what: str, tracked: list[Path]) -> None:
    pattern = re.compile(FORBIDDEN[what].encode())
    found = {
        str(path.relative_to(REPOSITORY)): match[0].decode()
        for path in tracked
        if (match := pattern.search(path.read_bytes()))
    }
    found.pop("tests/conftest.py", None)
    assert found == {}


@pytest.mark.parametrize(
    ("what", "text"),
    [
        ("the host of a package registry", "see https://py" + "pi.org/simple"),
        ("a path of somebody's machine", "reads /ho" + "me/ada/scene.tif"),
        ("a path of somebody's machine", "('/wo" + "rk/scene.tif')"),
        ("the folder of the labelled scenes", "cd ../sh" + "ared/data"),
    ],
)
def test_the_patterns_find_what_they_are_for(what: str, text: str) -> None:
    assert re.search(FORBIDDEN[what], text)


def test_resolved_locks_of_other_tools_are_not_tracked(tracked: list[Path]) -> None:
    assert [path.name for path in tracked if path.name == "uv.lock"] == []


def test_no_module_of_the_package_is_longer_than_400_lines() -> None:
    modules = (REPOSITORY / "geohier").rglob("*.py")
    lengths = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in modules}
    assert {name: lines for name, lines in lengths.items() if lines > 400} == {}


def test_every_file_that_the_architecture_names_is_there() -> None:
    text = (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(\w+/\w+\.py)`", text))
    assert named
    assert {name for name in named if not (REPOSITORY / "geohier" / name).is_file()} == set()


def test_decisions_are_numbered_and_say_what_would_change_them() -> None:
    pages = sorted((REPOSITORY / "docs" / "decisions").glob("*.md"))
    for number, page in enumerate(pages, start=1):
        lines = page.read_text(encoding="utf-8").splitlines()
        assert page.name.startswith(f"{number:04}-")
        assert lines[0].startswith(f"# {number:04}. ")
        headings = [line[3:] for line in lines if line.startswith("## ")]
        assert headings == ["Context", "Decision", "Consequences", "What would change our mind"]


def test_bundled_data_weighs_less_than_12_mib() -> None:
    sizes = [path.stat().st_size for path in (REPOSITORY / "data").rglob("*") if path.is_file()]
    assert sum(sizes) < 12 * MIB


@pytest.mark.parametrize(
    "folder", sorted(path for path in (REPOSITORY / "data").iterdir()), ids=lambda path: path.name
)
def test_each_bundled_file_is_in_its_manifest_with_hash_licence_and_source(folder: Path) -> None:
    manifest = folder / "manifest.json"
    listed = json.loads(manifest.read_text(encoding="utf-8"))["files"]
    present = {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and path != manifest
    }

    assert {name: entry["sha256"] for name, entry in listed.items()} == present
    for name, entry in listed.items():
        assert entry["licence"], name
        assert entry["source"], name
