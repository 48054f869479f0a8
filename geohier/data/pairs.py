"""Image and mask files that belong together, found by the usual names."""

from pathlib import Path

from geohier.errors import InputError

SUFFIXES = (".tif", ".tiff", ".png", ".jpg", ".jpeg", ".jp2")
IMAGE_FOLDERS = ("images", "image", "imgs", "img")
MASK_FOLDERS = ("masks", "mask", "labels", "label", "annotations", "gt")
MASK_ENDINGS = ("_mask", "_label", "_labels", "_gt", "-mask", "-label")


def find_pairs(folder: Path) -> tuple[tuple[Path, Path], ...]:
    """Return (image, mask) pairs: images/x.tif with masks/x.png, or x.tif with x_mask.tif.

    Raises:
        InputError: there are none, or some image has no mask.
    """
    images, masks = _subfolder(folder, IMAGE_FOLDERS), _subfolder(folder, MASK_FOLDERS)
    if images and masks:
        found, labels = _rasters(images), {_plain(path): path for path in _rasters(masks)}
    else:
        rasters = _rasters(folder)
        labels = {_plain(path): path for path in rasters if _plain(path) != path.stem}
        found = [path for path in rasters if path not in labels.values()]
    if not found or not labels:
        raise InputError(
            f"{folder}: no image and mask pairs: put them into images/ and masks/ under the same "
            "names, or call the masks NAME_mask"
        )
    lonely = [path.name for path in found if path.stem not in labels]
    if lonely:
        raise InputError(
            f"{folder}: {len(lonely)} of {len(found)} images have no mask ({lonely[0]}): "
            "add the masks, or list the scenes in data.train"
        )
    return tuple((path, labels[path.stem]) for path in found)


def _subfolder(folder: Path, names: tuple[str, ...]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_dir()), None)


def _rasters(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)


def _plain(path: Path) -> str:
    """Return a mask's name without its ending: the name of its image."""
    ending = next((end for end in MASK_ENDINGS if path.stem.lower().endswith(end)), "")
    return path.stem.removesuffix(path.stem[len(path.stem) - len(ending) :] if ending else "")
