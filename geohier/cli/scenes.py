"""Scenes as the command line names them."""

from collections.abc import Sequence
from pathlib import Path

from geohier.cli.prediction_flags import SceneFlags
from geohier.data.scene import Scene, find_scenes, open_scene
from geohier.raster.files import is_remote


def named_scenes(names: Sequence[str], flags: SceneFlags) -> list[Scene | str]:
    """Return the scenes behind paths, globs, folders and URLs: files first, each in their order.

    A single scene is opened once: one that cannot be is told before torch and the model load.

    Raises:
        InputError: a glob or a folder holds no scene, or the only scene cannot be opened.
        ConfigError: an option does not fit the only scene.
    """
    remote = [name for name in names if is_remote(name)]
    local = [Path(name) for name in names if not is_remote(name)]
    scenes: list[Scene | str] = [*dict.fromkeys(remote)]
    if local:
        scenes = [*find_scenes(local), *scenes]
    if len(scenes) == 1:
        open_scene(scenes[0], **flags.open_options()).__exit__()
    return scenes
