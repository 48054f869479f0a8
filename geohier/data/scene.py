"""A scene: what is predicted, inspected or trained on as one raster, however many files it has."""

import glob
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Unpack

from geohier.data.scene_file import is_scene_file, read_scene_file
from geohier.data.sentinel2 import is_safe_folder, read_safe
from geohier.errors import InputError
from geohier.raster.files import is_remote, shown
from geohier.raster.mosaic import MosaicSource, open_mosaic
from geohier.raster.reader import OpenOptions, open_raster
from geohier.raster.source import PixelSource
from geohier.raster.stack import StackFile, open_stack

RASTER_SUFFIXES = (".tif", ".tiff", ".jp2", ".j2k", ".vrt", ".png", ".jpg", ".jpeg")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One raster file, or several of one place; opened by `open_scene`.

    Args:
        id: short name, for results and messages.
        path: what the user named: a raster, a scene file, or a SAFE folder.
        files: its rasters; the first gives the grid.
    """

    id: str
    path: Path
    files: tuple[StackFile, ...]

    @property
    def is_one_raster(self) -> bool:
        """Whether the scene is a raster file, taken as it is."""
        return self.files == (StackFile(path=self.path),)


def scene_at(path: Path) -> Scene:
    """Return the scene that a raster, a scene file or a SAFE folder makes up. Opens no raster.

    Raises:
        InputError: the path is another kind of folder, or a SAFE folder that is not whole.
        ConfigError: the scene file has mistakes.
    """
    if is_scene_file(path):
        name = path.name[: path.name.lower().rindex(".scene.")]
        return Scene(id=name, path=path, files=read_scene_file(path))
    if is_safe_folder(path):
        return Scene(id=path.name.removesuffix(".SAFE"), path=path, files=read_safe(path))
    return Scene(id=shown(path.stem), path=path, files=(StackFile(path=path),))


def find_scenes(paths: Sequence[Path]) -> list[Scene]:
    """Return the scenes that files, globs (`*`, `**`, `?`) and folders stand for, in their order.

    Of a folder, all rasters and scene files directly in it are taken, but no raster that one of
    its scene files names.

    Raises:
        InputError: a glob or a folder holds no scene, or two scenes have one name.
    """
    scenes = [scene_at(found) for path in paths for found in _spread(path)]
    unique = list({os.path.realpath(scene.path): scene for scene in scenes}.values())
    for name, count in Counter(scene.id for scene in unique).items():
        if count > 1:
            places = ", ".join(shown(scene.path) for scene in unique if scene.id == name)
            raise InputError(f"{count} scenes are named {name} ({places}): predict them apart")
    return unique


def open_scene(scene: Scene | Path | str, **options: Unpack[OpenOptions]) -> PixelSource:
    """Open a scene as one raster.

    Args:
        scene: a scene, or the path of one; a URL only as text, with `allow_remote`.
        options: those of `open_raster`.

    Raises:
        InputError: a file cannot be used.
        ConfigError: an option or the scene file does not fit the rasters.
    """
    if isinstance(scene, str) and is_remote(scene):
        return open_raster(scene, **options)
    if not isinstance(scene, Scene):
        scene = scene_at(Path(scene))
    if scene.is_one_raster:
        return open_raster(scene.path, **options)
    return open_stack(scene.files, name=scene.id, **options)


def open_scenes_as_mosaic(
    scenes: Sequence[Scene], *, name: str = "mosaic", **options: Unpack[OpenOptions]
) -> MosaicSource:
    """Open scenes that are raster files on one grid as one raster.

    Raises:
        InputError: a scene is no raster file, or the rasters do not share one grid.
    """
    composed = [scene for scene in scenes if not scene.is_one_raster]
    if composed:
        raise InputError(
            f"{shown(composed[0].path)} is made of other files: a mosaic takes raster files only"
        )
    return open_mosaic([scene.path for scene in scenes], name=name, **options)


def _spread(path: Path) -> list[Path]:
    """Return what a path stands for: itself, or what a glob or a folder holds."""
    if is_remote(path) or path.is_file() or is_safe_folder(path):
        return [path]
    if path.is_dir():
        return _inside(path)
    if glob.has_magic(str(path)):
        start = Path(path.anchor)
        found = sorted(
            match for match in start.glob(str(path.relative_to(start))) if _is_scene(match)
        )
        if not found:
            raise InputError(f"{shown(path)} matches no raster")
        return found
    return [path]


def _inside(folder: Path) -> list[Path]:
    found = sorted(path for path in folder.iterdir() if _is_scene(path))
    named = set(_named_by(path for path in found if is_scene_file(path)))
    scenes = [path for path in found if os.path.realpath(path) not in named]
    if not scenes:
        raise InputError(f"{shown(folder)} holds no raster ({' '.join(RASTER_SUFFIXES)})")
    return scenes


def _named_by(scene_files: Iterable[Path]) -> Iterable[str]:
    for path in scene_files:
        yield from (os.path.realpath(file.path) for file in read_scene_file(path))


def _is_scene(path: Path) -> bool:
    raster = path.is_file() and path.suffix.lower() in RASTER_SUFFIXES
    return raster or is_scene_file(path) or is_safe_folder(path)
