"""Files that are whole or absent."""

import errno
import os
from pathlib import Path

import pytest

from geohier.errors import ResourceError
from geohier.raster.durable import draft_of, write_durably


@pytest.mark.parametrize("before", [None, b"earlier"])
@pytest.mark.parametrize(
    ("stop", "raised"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), ResourceError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
    ids=["full disk", "Ctrl-C"],
)
def test_a_write_that_is_stopped_leaves_what_was_there_and_nothing_else(
    stop: BaseException,
    raised: type[BaseException],
    before: bytes | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "file.json"
    if before is not None:
        path.write_bytes(before)

    def stopped(descriptor: int) -> None:
        assert (tmp_path / "file.json.tmp").read_bytes() == b"new", "the new bytes lie beside"
        raise stop

    monkeypatch.setattr(os, "fsync", stopped)
    with pytest.raises(raised):
        write_durably(path, b"new")
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == (
        [] if before is None else [("file.json", before)]
    )


def test_a_draft_takes_the_place_of_the_file_at_once(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with draft_of(path) as draft:
        draft.write_bytes(b"new")
        assert path.read_bytes() == b"old"
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("file", b"new")]
