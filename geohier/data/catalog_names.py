"""Names in catalogues: which split an entry belongs to, and which of its files is meant."""

from collections.abc import Collection

from geohier.config.sources import SplitsConfig
from geohier.data.labelled_scene import Split

ALSO_CALLED = {
    "scene": ("id",),
    "image": ("img", "images", "data", "visual"),
    "mask": ("label", "labels", "masks", "target", "gt"),
}
"""What others call a scene's name, its image and its labels."""


def split_of(name: object, splits: SplitsConfig) -> Split | None:
    """Return the split that a name in a catalogue stands for; None is left out.

    Example:
        >>> split_of("validation", SplitsConfig()), split_of("test", SplitsConfig())
        ('val', None)
    """
    if str(name) in map(str, splits.train):
        return "train"
    return "val" if str(name) in map(str, splits.val) else None


def find_name(wanted: str, names: Collection[str]) -> str | None:
    """Return the one of the names that is wanted, or that usually stands for the same thing.

    Example:
        >>> find_name("mask", ["image", "label"]), find_name("s1", ["image", "label"])
        ('label', None)
    """
    if wanted in names:
        return wanted
    others = [name for name in ALSO_CALLED.get(wanted, ()) if name in names]
    return others[0] if len(others) == 1 else None
