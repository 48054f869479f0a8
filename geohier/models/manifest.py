"""The files of a model directory: their names, their SHA-256, and the card. Needs no torch.

model.safetensors   the weights: numbers and names, nothing that could run
card.json           what the model reads and answers (a STAC item)
config.yaml         the resolved config that it was trained with
SHA256SUMS          hashes of the others; `sha256sum -c SHA256SUMS` reads it too
"""

import json
from pathlib import Path
from typing import Any

from geohier.errors import ModelError
from geohier.models.card import ModelCard
from geohier.models.stac import card_of
from geohier.raster.durable import sha256_of
from geohier.raster.files import shown

WEIGHTS = "model.safetensors"
CARD = "card.json"
CONFIG = "config.yaml"
SUMS = "SHA256SUMS"

LARGEST_BYTES = {WEIGHTS: 8 << 30, CARD: 4 << 20, CONFIG: 1 << 20, SUMS: 1 << 10}
"""What is larger than this is not read."""


def is_model(path: Path) -> bool:
    """Return whether a path looks like a model directory."""
    return (path / CARD).is_file() or (path / SUMS).is_file()


def finds_objects(path: Path) -> bool:
    """Return whether a model directory is one of a model that finds objects.

    Raises:
        ModelError: it is damaged.
    """
    return is_model(path) and read_card(path).points is not None


def check_files(folder: Path) -> str:
    """Check every file of a model directory, and return the identity of the whole.

    Returns:
        The SHA-256 of SHA256SUMS, which holds the hash of each file.

    Raises:
        ModelError: the folder is no model directory, or a file is missing, damaged or too large.
    """
    _check_is_model(folder)
    for name, sha256 in _read_sums(folder).items():
        _check_file(folder / name, sha256)
    return sha256_of(folder / SUMS)


def damaged_files(folder: Path) -> tuple[str, ...]:
    """Return the files of a model directory that are missing or not as SHA256SUMS says."""
    try:
        sums = _read_sums(folder)
    except ModelError:
        return (SUMS,)
    return tuple(name for name, sha256 in sums.items() if not _is_whole(folder / name, sha256))


def read_card(folder: Path | str) -> ModelCard:
    """Read the card of a model directory whose files are all whole.

    Raises:
        ModelError: the folder is no model directory, or a file of it is damaged.
    """
    check_files(Path(folder))
    return card_in(Path(folder), read_item(Path(folder)))


def read_item(folder: Path) -> dict[str, Any]:
    """Read the card as it lies on disk, a STAC item, whether or not the files are whole.

    Raises:
        ModelError: there is no card, or it is no JSON object.
    """
    path = folder / CARD
    try:
        item = json.loads(read_file(path))
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{shown(path)} is no JSON: {error}") from error
    if not isinstance(item, dict):
        raise ModelError(f"{shown(path)} holds a {type(item).__name__}, a card is an object")
    return item


def card_in(folder: Path, item: dict[str, Any]) -> ModelCard:
    """Return the card that the STAC item of a model directory holds.

    Raises:
        ModelError: something in it is missing or makes no sense.
    """
    try:
        return card_of(item)
    except ModelError as error:
        raise ModelError(f"{shown(folder / CARD)}: {error}") from error


def read_file(path: Path) -> bytes:
    """Read a file of a model directory, if it is no larger than one of its name may be.

    Raises:
        ModelError: the file is missing, too large or cannot be read.
    """
    _check_size(path)
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"{shown(path)} cannot be read: {error.strerror}") from error


def _check_is_model(folder: Path) -> None:
    if not folder.is_dir():
        found = "is a file" if folder.exists() else "there is no such folder"
        raise ModelError(f"{shown(folder)}: {found}: give a model directory")
    if not (folder / SUMS).is_file():
        inner = folder / "model"
        hint = f"did you mean {shown(inner)}?" if is_model(inner) else f"it has no {SUMS}"
        raise ModelError(f"{shown(folder)} is no model directory: {hint}")


def _read_sums(folder: Path) -> dict[str, str]:
    """Return the SHA-256 that SHA256SUMS has for each other file."""
    path = folder / SUMS
    lines = read_file(path).decode("ascii", "replace").splitlines()
    pairs = [line.split(maxsplit=1) for line in lines]
    if any(len(pair) != 2 for pair in pairs):
        raise ModelError(f"{shown(path)} is damaged: each line needs a SHA-256 and a file name")
    sums = {name: sha256 for sha256, name in pairs}
    if sums.keys() != {WEIGHTS, CARD, CONFIG}:
        raise ModelError(
            f"{shown(path)} lists {' '.join(sorted(sums)) or 'nothing'}, "
            f"a model has {WEIGHTS} {CARD} {CONFIG}: copy the model again"
        )
    return sums


def _is_whole(path: Path, sha256: str) -> bool:
    try:
        _check_file(path, sha256)
    except ModelError:
        return False
    return True


def _check_file(path: Path, sha256: str) -> None:
    _check_size(path)
    try:
        found = sha256_of(path)
    except OSError as error:
        raise ModelError(f"{shown(path)} cannot be read: {error.strerror}") from error
    if found != sha256:
        raise ModelError(
            f"{shown(path)} is damaged or was changed: its SHA-256 is not the one in {SUMS}; "
            "copy the model again"
        )


def _check_size(path: Path) -> None:
    if not path.is_file():
        raise ModelError(f"{shown(path)} is missing: copy the model again")
    largest = LARGEST_BYTES[path.name]
    if path.stat().st_size > largest:
        raise ModelError(f"{shown(path)} is larger than {largest} bytes: no file of a model")
