"""Which labels belong to which prediction, found by file name."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from geohier.data.file_names import (
    IMAGE_FOLDERS,
    LABEL_ENDINGS,
    LABEL_SUFFIXES,
    MAP_ENDINGS,
    MAP_SUFFIXES,
    MASK_FOLDERS,
    OTHER_LAYERS,
    without_ending,
)
from geohier.data.scene import RASTER_SUFFIXES
from geohier.errors import InputError
from geohier.raster.files import shown
from geohier.studies.evaluate import Pair


def match_labels(
    predictions: Sequence[Path], labels: Path, images: Path | None = None
) -> list[Pair]:
    """Pair predictions with labels, and with images for pictures of them.

    Of files that lie in one folder, `a_mask.tif` is the labels of `a.tif`.

    Args:
        predictions: class rasters, and folders of them.
        labels: one file for all predictions, or a folder with a file for each, of the same name
            but for its suffix and endings such as `_mask`.
        images: the same, of images.

    Raises:
        InputError: a prediction has no labels or several, or a folder holds no raster.
    """
    paths = list(_maps_among(predictions))
    names = _names(paths)
    labels_of = _file_of_each(paths, labels, LABEL_SUFFIXES, of_labels=True)
    images_of = (
        {} if images is None else _file_of_each(paths, images, RASTER_SUFFIXES, of_labels=False)
    )
    return [
        Pair(name=names[path], prediction=path, labels=labels_of[path], image=images_of.get(path))
        for path in paths
    ]


def scene_of(path: Path) -> str:
    """Return the name of the scene that an image, labels or a map are about.

    Example:
        >>> scene_of(Path("masks/banepa_b_mask.png")), scene_of(Path("banepa_b_classes.tif"))
        ('banepa_b', 'banepa_b')
    """
    return without_ending(path, LABEL_ENDINGS + MAP_ENDINGS)


def _maps_among(predictions: Iterable[Path]) -> Iterable[Path]:
    for given in predictions:
        if not given.is_dir():
            yield given
            continue
        inside = sorted(path for path in given.iterdir() if path.suffix.lower() in MAP_SUFFIXES)
        inside = [path for path in inside if not path.stem.endswith(OTHER_LAYERS)]
        stems = {path.stem for path in inside}
        inside = [path for path in inside if not (_is_labels(path) and scene_of(path) in stems)]
        if not inside:
            raise InputError(f"{shown(given)} holds no prediction: {' '.join(MAP_SUFFIXES)}")
        yield from inside


def _names(paths: Sequence[Path]) -> dict[Path, str]:
    """Name each scene by its file, or by its path where two files have one name."""
    stems = [path.stem for path in paths]
    return {path: shown(path.stem if stems.count(path.stem) == 1 else path) for path in paths}


def _file_of_each(
    predictions: Sequence[Path], given: Path, suffixes: tuple[str, ...], *, of_labels: bool
) -> dict[Path, Path]:
    """Return the file for each prediction: the one given, or the one in a folder."""
    if not given.is_dir():
        return dict.fromkeys(predictions, given)
    found = _by_scene(path for path in given.iterdir() if path.suffix.lower() in suffixes)
    if given.name.lower() not in (*IMAGE_FOLDERS, *MASK_FOLDERS):
        found = {scene: _of_kind(paths, of_labels) for scene, paths in found.items()}
    return {path: _only_fitting(found, path, given) for path in predictions}


def _by_scene(paths: Iterable[Path]) -> dict[str, list[Path]]:
    scenes: dict[str, list[Path]] = {}
    for path in sorted(paths):
        scenes.setdefault(scene_of(path), []).append(path)
    return scenes


def _is_labels(path: Path) -> bool:
    return without_ending(path, LABEL_ENDINGS) != path.stem


def _of_kind(paths: list[Path], of_labels: bool) -> list[Path]:
    """Return what is named as labels, or what is not, where a folder holds both of a scene."""
    return [path for path in paths if _is_labels(path) == of_labels] or paths


def _only_fitting(found: dict[str, list[Path]], prediction: Path, folder: Path) -> Path:
    fitting = found.get(scene_of(prediction), [])
    if len(fitting) != 1:
        what = " and ".join(path.name for path in fitting) or "no file of that name"
        raise InputError(
            f"{shown(prediction)}: {shown(folder)} holds {what}: files are matched by name, one "
            "for each prediction"
        )
    return fitting[0]
