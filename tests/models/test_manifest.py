"""The files of a model directory, told whole from damaged without torch."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from geohier.errors import ModelError
from geohier.geo.bands import Band, BandSet
from geohier.models.card import ClassLabel, ModelCard
from geohier.models.manifest import (
    CARD,
    CONFIG,
    SUMS,
    WEIGHTS,
    check_files,
    damaged_files,
    is_model,
    read_card,
)
from geohier.models.stac import item_of

CARD_OF_MODEL = ModelCard(
    bands=BandSet((Band(name="red", dtype="uint8", mean=1, std=2),)),
    classes=(ClassLabel(name="land", color="#000000"), ClassLabel(name="water", color="#0000ff")),
    stride=32,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model directory in all but its weights."""
    folder = tmp_path / "model"
    folder.mkdir()
    item = item_of(CARD_OF_MODEL, architecture="none", parameters=0, weights=WEIGHTS)
    files = {WEIGHTS: b"weights", CARD: json.dumps(item).encode(), CONFIG: b"config"}
    sums = ""
    for name, data in files.items():
        (folder / name).write_bytes(data)
        sums += f"{hashlib.sha256(data).hexdigest()}  {name}\n"
    (folder / SUMS).write_text(sums)
    return folder


def test_a_whole_model_has_a_card_and_an_identity(folder: Path) -> None:
    assert is_model(folder)
    assert damaged_files(folder) == ()
    assert read_card(folder) == CARD_OF_MODEL
    assert check_files(folder) == hashlib.sha256((folder / SUMS).read_bytes()).hexdigest()


@pytest.mark.parametrize("name", [WEIGHTS, CARD, CONFIG])
@pytest.mark.parametrize("how", ["changed", "missing", "a folder", "too large"])
def test_the_damaged_file_is_named_and_no_other(folder: Path, name: str, how: str) -> None:
    path = folder / name
    match how:
        case "changed":
            path.write_bytes(path.read_bytes() + b" ")
        case "too large":
            with path.open("ab") as file:
                file.truncate(1 << 40)  # sparse: must be refused by its size, not read
        case _:
            path.unlink()
            if how == "a folder":
                path.mkdir()
    assert damaged_files(folder) == (name,)
    with pytest.raises(ModelError, match=name) as caught:
        read_card(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("how", ["", "words", "lacks a line", "names another file", "is gone"])
def test_sums_that_are_not_those_of_a_model_are_damaged(folder: Path, how: str) -> None:
    text = (folder / SUMS).read_text()
    match how:
        case "lacks a line":
            text = "".join(text.splitlines(keepends=True)[:-1])
        case "names another file":
            text += f"{hashlib.sha256(b'weights').hexdigest()}  ../model/{WEIGHTS}\n"
        case _:
            text = how
    (folder / SUMS).write_text(text)
    if how == "is gone":
        (folder / SUMS).unlink()
    assert damaged_files(folder) == (SUMS,)
    with pytest.raises(ModelError, match=SUMS):
        check_files(folder)


def test_a_model_is_described_without_torch(folder: Path) -> None:
    code = (
        "import sys; from pathlib import Path; "
        "from geohier.studies.inspect_model import describe_model; "
        f"describe_model(Path({str(folder)!r})); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
