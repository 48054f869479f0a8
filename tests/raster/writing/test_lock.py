"""One run per output: who may write, and what is said where nobody may."""

from pathlib import Path

import pytest

from geohier.errors import OutputLockedError, ResourceError
from geohier.raster.lock import OutputLock

NO_LOCKS = Path("/proc")


def test_a_second_run_is_told_who_holds_the_output(tmp_path: Path) -> None:
    first = OutputLock(tmp_path / "map.tif")
    with pytest.raises(OutputLockedError, match=r"map\.tif is being written by process \d+"):
        OutputLock(tmp_path / "map.tif")
    first.release()
    OutputLock(tmp_path / "map.tif").release()
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not NO_LOCKS.is_dir(), reason="there is no /proc here")
def test_a_folder_that_takes_no_lock_is_not_taken_for_a_run() -> None:
    with pytest.raises(ResourceError, match="cannot be written"):
        OutputLock(NO_LOCKS / "map.tif")
