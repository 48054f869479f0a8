"""Scenes as the command line names them."""

from collections.abc import Sequence
from pathlib import Path

from geohier.data.scene import Scene, find_scenes
from geohier.raster.files import is_remote


def named_scenes(names: Sequence[str]) -> list[Scene | str]:
    """Return the scenes behind paths, globs, folders and URLs, in their order."""
    scenes: list[Scene | str] = []
    for remote, group in _grouped(names):
        scenes += group if remote else find_scenes([Path(name) for name in group])
    return scenes


def _grouped(names: Sequence[str]) -> list[tuple[bool, list[str]]]:
    local = [name for name in names if not is_remote(name)]
    remote = [name for name in names if is_remote(name)]
    return [(kind, group) for kind, group in ((False, local), (True, remote)) if group]
