"""Which labelled scenes a config names, and which split each belongs to. Opens no raster.

They come from

- explicit lists, `data.train` and `data.val`;
- `data.catalog`: a table (`catalog_table.py`) or a STAC catalogue (`catalog_stac.py`);
- `data.torchgeo`: a data set that torchgeo knows (`catalog_torchgeo.py`);
- `split.csv` in `data.root`, which is such a table;
- folders `train/` and `val/` in `data.root`, each holding image and label pairs (`pairs.py`).
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from geohier.config.schema import DataConfig, ImageMaskPair
from geohier.data.catalog_stac import is_stac, read_stac
from geohier.data.catalog_table import read_table
from geohier.data.catalog_torchgeo import fetch_torchgeo, read_torchgeo
from geohier.data.labelled_scene import LabelledScene, Split
from geohier.data.pairs import find_pairs
from geohier.errors import ConfigError, InputError

__all__ = ["SPLIT_FILE", "Catalog", "LabelledScene", "Split", "fetch_data", "read_catalog"]

SPLIT_FILE = "split.csv"


@dataclass(frozen=True, slots=True)
class Catalog:
    """The labelled scenes of a config, in their order."""

    scenes: tuple[LabelledScene, ...]

    @property
    def train(self) -> tuple[LabelledScene, ...]:
        """Scenes to learn from."""
        return tuple(scene for scene in self.scenes if scene.split == "train")

    @property
    def val(self) -> tuple[LabelledScene, ...]:
        """Scenes that judge."""
        return tuple(scene for scene in self.scenes if scene.split == "val")


def read_catalog(config: DataConfig) -> Catalog:
    """Return the scenes that a config names, without the excluded ones.

    Raises:
        InputError: a file or a column is missing, a scene stands twice, or nothing is left to
            train on.
        ConfigError: the config names a torchgeo data set or an argument that there is not.
        UnsafeInputError: a STAC catalogue leads out of its folder.
    """
    found = list(_found(config))
    _refuse_duplicates(found)
    _refuse_unknown(config.exclude, found)
    catalog = Catalog(tuple(scene for scene in found if scene.id not in config.exclude))
    if not catalog.train:
        raise InputError(
            f"{config.catalog or config.root}: no scene is left to train on ({len(found)} found, "
            f"{len(found) - len(catalog.scenes)} excluded): give scenes of the split "
            f"{' or '.join(map(str, config.splits.train))} (data.splits)"
        )
    for scene in catalog.scenes:
        for image in scene.images:
            _require(image, scene.id, "image")
        _require(scene.mask, scene.id, "mask")
    return catalog


def fetch_data(config: DataConfig) -> None:
    """Fetch what of a config's data torchgeo can fetch; everything else has to be there.

    Raises:
        ConfigError: torchgeo cannot fetch the data set.
        ResourceError: fetching failed.
    """
    if config.torchgeo is not None:
        fetch_torchgeo(config.torchgeo, config)


def _found(config: DataConfig) -> Iterator[LabelledScene]:
    if config.train:
        return _listed(config)
    if config.torchgeo is not None:
        return read_torchgeo(config.torchgeo, config)
    if config.catalog is None:
        return _found_in(config)
    path = config.root / config.catalog
    if not is_stac(path):
        return read_table(path, config)
    if config.dates is not None:
        raise ConfigError(f"{path}: data.dates is of tables: give scene files with dates as assets")
    return read_stac(path, config)


def _listed(config: DataConfig) -> Iterator[LabelledScene]:
    listed: tuple[tuple[Split, tuple[ImageMaskPair, ...]], ...]
    listed = (("train", config.train), ("val", config.val))
    for split, pairs in listed:
        for pair in pairs:
            listed_images = pair.image if isinstance(pair.image, tuple) else (pair.image,)
            image, *more = (config.root / path for path in listed_images)
            yield LabelledScene(
                id=pair.id or image.stem,
                image=image,
                more=tuple(more),
                mask=config.root / pair.mask,
                split=split,
            )


def _found_in(config: DataConfig) -> Iterator[LabelledScene]:
    root = config.root
    if not root.is_dir():
        raise InputError(f"{root}: there is no such folder: set data.root or data_root")
    if (root / SPLIT_FILE).is_file():
        yield from read_table(root / SPLIT_FILE, config)
    elif config.dates is not None:
        raise ConfigError(f"{root}: has no {SPLIT_FILE} for data.dates: make one")
    elif (root / "train").is_dir():
        splits: tuple[Split, ...] = ("train", "val")
        for split in splits if (root / "val").is_dir() else splits[:1]:
            for image, mask in find_pairs(root / split):
                yield LabelledScene(id=image.stem, image=image, mask=mask, split=split)
    else:
        raise InputError(
            f"{root}: holds neither {SPLIT_FILE} nor a folder train: "
            f"run `geohier init {root}`, or list scenes in data.train"
        )


def _refuse_duplicates(scenes: Iterable[LabelledScene]) -> None:
    counts = Counter((scene.id, scene.split) for scene in scenes)
    for (name, split), count in counts.items():
        if count > 1:
            raise InputError(f"scene {name} stands {count} times in {split}: keep one, or give ids")


def _refuse_unknown(exclude: tuple[str, ...], scenes: list[LabelledScene]) -> None:
    unknown = sorted(set(exclude) - {scene.id for scene in scenes})
    if unknown:
        raise InputError(
            f"data.exclude names {' '.join(unknown)}, but the scenes are "
            f"{' '.join(scene.id for scene in scenes[:20])}: correct the id"
        )


def _require(path: Path, scene: str, what: str) -> None:
    if not path.exists():
        raise InputError(f"{path}: there is no such file: it is the {what} of scene {scene}")
