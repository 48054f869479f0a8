"""Image and mask files that belong together, found by the usual names."""

from collections.abc import Sequence
from pathlib import Path

from geohier.data.file_names import IMAGE_FOLDERS, LABEL_ENDINGS, MASK_FOLDERS, without_ending
from geohier.data.scene import RASTER_SUFFIXES
from geohier.errors import InputError


def find_pairs(folder: Path) -> tuple[tuple[Path, Path], ...]:
    """Return (image, mask) pairs: images/x.tif with masks/x.png, or x.tif with x_mask.tif.

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
    pairs = tuple((image, _only(fitting, image, images, folder)) for image in images)
    lonely = sorted(set(masks) - {mask for _, mask in pairs})
    if lonely:
        raise InputError(
            f"{folder}: {len(lonely)} of {len(masks)} masks have no image ({lonely[0].name}): "
            "add the images, or take the masks out"
        )
    return pairs


def _images_and_masks(folder: Path) -> tuple[list[Path], list[Path]]:
    images, masks = _subfolder(folder, IMAGE_FOLDERS), _subfolder(folder, MASK_FOLDERS)
    if images and masks:
        return _rasters(images), _rasters(masks)
    rasters = _rasters(folder)
    beside = [path for path in rasters if without_ending(path, LABEL_ENDINGS) != path.stem]
    return [path for path in rasters if path not in beside], beside


def _subfolder(folder: Path, names: tuple[str, ...]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_dir()), None)


def _rasters(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in RASTER_SUFFIXES)


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
