"""Image and label files that belong together, found by the usual names."""

from collections.abc import Sequence
from pathlib import Path

from geohier.data.file_names import (
    IMAGE_FOLDERS,
    LABEL_ENDINGS,
    LABEL_SUFFIXES,
    MASK_FOLDERS,
    VECTOR_SUFFIXES,
    without_ending,
)
from geohier.data.scene import RASTER_SUFFIXES
from geohier.errors import InputError


def find_pairs(folder: Path) -> tuple[tuple[Path, Path], ...]:
    """Return (image, labels) pairs: images/x.tif with masks/x.png, or x.tif with x_mask.tif.

    Labels may be vector files: labels/x.gpkg, x.geojson beside x.tif, or one file for all images.

    Raises:
        InputError: there are none, or some image does not have one mask, or some mask no image.
    """
    images, masks = _images_and_masks(folder)
    if not images or not masks:
        raise InputError(
            f"{folder}: no image and mask pairs: put them into images/ and masks/ under the same "
            "names, or call the masks NAME_mask"
        )
    fitting = _by_name(masks)
    if len(masks) == 1 and _is_vector(masks[0]) and not any(one.stem in fitting for one in images):
        return tuple((image, masks[0]) for image in images)
    pairs = tuple((image, _only(fitting, image, images, folder)) for image in images)
    lonely = sorted(set(masks) - {mask for _, mask in pairs})
    if lonely:
        raise InputError(
            f"{folder}: {len(lonely)} of {len(masks)} masks have no image ({lonely[0].name}): "
            "add the images, or take the masks out"
        )
    return pairs


def find_images(folder: Path) -> list[Path]:
    """Return the images of a folder, in images/ or directly in it; they need no labels."""
    images = _subfolder(folder, IMAGE_FOLDERS)
    found = _files(images or folder, RASTER_SUFFIXES)
    return [path for path in found if without_ending(path, LABEL_ENDINGS) == path.stem]


def _images_and_masks(folder: Path) -> tuple[list[Path], list[Path]]:
    images, masks = _subfolder(folder, IMAGE_FOLDERS), _subfolder(folder, MASK_FOLDERS)
    if images and masks:
        found = _files(images, RASTER_SUFFIXES)
        labels = _files(masks, LABEL_SUFFIXES)
        return found, [
            path for path in labels if path.suffix.lower() != ".json" or _of(path, found)
        ]
    rasters = _files(folder, RASTER_SUFFIXES)
    beside = [path for path in rasters if without_ending(path, LABEL_ENDINGS) != path.stem]
    found = [path for path in rasters if path not in beside]
    return found, beside + _vectors_beside(folder, found, alone=not beside)


def _vectors_beside(folder: Path, images: Sequence[Path], *, alone: bool) -> list[Path]:
    """Return the vector files named like an image; or the only one, where images have no mask."""
    vectors = _files(folder, VECTOR_SUFFIXES)
    named = [path for path in vectors if _of(path, images)]
    others = [path for path in vectors if path.suffix.lower() != ".json"]
    return named or (others if alone and len(others) == 1 else [])


def _of(labels: Path, images: Sequence[Path]) -> bool:
    """Return whether labels are named like one of the images."""
    names = {labels.stem, without_ending(labels, LABEL_ENDINGS)}
    return any(image.stem in names for image in images)


def _subfolder(folder: Path, names: tuple[str, ...]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_dir()), None)


def _files(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in suffixes)


def _is_vector(path: Path) -> bool:
    return path.suffix.lower() in VECTOR_SUFFIXES


def _by_name(masks: Sequence[Path]) -> dict[str, list[Path]]:
    """Return the masks that fit an image's name: of the same name, or with an ending after it."""
    fitting: dict[str, list[Path]] = {}
    for mask in masks:
        for name in {mask.stem, without_ending(mask, LABEL_ENDINGS)}:
            fitting.setdefault(name, []).append(mask)
    return fitting


def _only(
    fitting: dict[str, list[Path]], image: Path, images: Sequence[Path], folder: Path
) -> Path:
    """Return the one mask of an image."""
    found = fitting.get(image.stem, [])
    if len(found) > 1:
        names = " and ".join(mask.name for mask in found)
        raise InputError(f"{folder}: {image.name} has {len(found)} masks ({names}): keep one")
    if not found:
        lonely = [path.name for path in images if path.stem not in fitting]
        raise InputError(
            f"{folder}: {len(lonely)} of {len(images)} images have no mask ({lonely[0]}): "
            "add the masks, or list the scenes in data.train"
        )
    return found[0]
