"""How files of one scene are named: by what `init`, `train` and `evaluate` know its labels."""

from pathlib import Path

from geohier.data.scene import RASTER_SUFFIXES
from geohier.raster.layers import CONTINUOUS

VECTOR_SUFFIXES = (".gpkg", ".geojson", ".json", ".fgb", ".shp")
LABEL_SUFFIXES = (*RASTER_SUFFIXES, *VECTOR_SUFFIXES)
MAP_SUFFIXES = (".tif", ".tiff")

IMAGE_FOLDERS = ("images", "image", "imgs", "img")
MASK_FOLDERS = ("masks", "mask", "labels", "label", "annotations", "gt")

LABEL_ENDINGS = tuple(
    f"{mark}{word}" for mark in "_-" for word in ("mask", "masks", "label", "labels", "gt", "truth")
)
"""Endings that may follow the name of a scene in the name of its labels."""

MAP_ENDINGS = ("_classes", "_prediction")
"""Endings that may follow the name of a scene in the name of a map of it."""

OTHER_LAYERS = tuple(f"_{name}" for name in CONTINUOUS)
"""Endings of the files that lie beside a map and are no class raster."""


def without_ending(path: Path, endings: tuple[str, ...]) -> str:
    """Return a file's name without its suffix and without any one of the endings.

    Example:
        >>> without_ending(Path("masks/banepa_b-Mask.png"), LABEL_ENDINGS)
        'banepa_b'
        >>> without_ending(Path("_mask.png"), LABEL_ENDINGS)
        '_mask'
    """
    ending = next((end for end in endings if path.stem.lower().endswith(end)), "")
    return path.stem[: len(path.stem) - len(ending)] or path.stem
