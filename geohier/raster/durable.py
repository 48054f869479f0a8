"""Files that are whole or absent, whatever interrupts their writing."""

import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rasterio._err import CPLE_BaseError
from rasterio.errors import RasterioError

from geohier.errors import GeohierError, ResourceError, first_cause

DRAFT_SUFFIX = ".tmp"
"""Ending of a file that is being written, if only a kill is quick enough to leave one."""


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the disk or GDAL raise while `path` is written into one kind of error.

    GDAL's own errors reach Python as `CPLE_*`, which are neither `OSError` nor `RasterioError`,
    and sometimes as a bare `SystemError`.

    Raises:
        ResourceError: the disk is full, read-only or failing.
    """
    try:
        yield
    except GeohierError:
        raise
    except (OSError, SystemError, RasterioError, CPLE_BaseError) as error:
        raise ResourceError(
            f"{path} cannot be written ({first_cause(error)}): free some space or choose another "
            "folder, then run again; what is finished is kept"
        ) from error


@contextmanager
def draft_of(path: Path, *, keep_suffix: bool = False) -> Iterator[Path]:
    """Give a name to write to; what lies there afterwards is safe on the disk and named `path`.

    If anything stops the writing, even an interruption, nothing is left under the name. With
    `keep_suffix` the name ends as that of `path` does, by which some writers go.

    Raises:
        ResourceError: the disk is full, read-only or failing.
    """
    draft = path.with_name(path.name + DRAFT_SUFFIX + (path.suffix if keep_suffix else ""))
    with writing(path):
        try:
            yield draft
            sync(draft)
            draft.replace(path)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise


def write_durably(path: Path, data: bytes) -> None:
    """Write a file so that it is whole or, if it was not there, absent."""
    with draft_of(path) as draft:
        draft.write_bytes(data)


def append_durably(path: Path, data: bytes) -> None:
    """Append to a file and see it safe on the disk."""
    with writing(path), path.open("ab") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def move_durably(source: Path, target: Path) -> None:
    """Give a finished file its final name; whatever had that name before is replaced at once."""
    with writing(target):
        sync(source)
        source.replace(target)
        sync(target.parent)


def sync(path: Path) -> None:
    """See a file, or the names in a folder, safe on the disk."""
    if path.is_dir() and os.name != "posix":
        return  # only POSIX systems open folders
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remove_files(paths: Iterable[Path]) -> None:
    """Remove files, those that are gone already included."""
    for path in paths:
        with writing(path):
            path.unlink(missing_ok=True)
