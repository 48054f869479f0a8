"""Labelled scenes from torchgeo's data sets, as files on this machine.

torchgeo knows how a published data set lies on disk and which of its files are train and val. Only
the paths are taken from it: pixels are read as those of any other scene. Nothing is fetched or
unpacked unless `fetch_torchgeo` is called, which is what `geohier train --allow-download` does.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path

from geohier.config.schema import DataConfig
from geohier.config.sources import TorchgeoConfig
from geohier.data.catalog_names import find_name, split_of
from geohier.data.labelled_scene import LabelledScene, Split
from geohier.data.torchgeo_class import TorchgeoClass
from geohier.data.torchgeo_overlap import labels_under
from geohier.errors import ConfigError

type Files = Mapping[str, Path]
"""The files of one scene, by what they are to the data set."""


def read_torchgeo(said: TorchgeoConfig, config: DataConfig) -> Iterator[LabelledScene]:
    """Yield the scenes of a torchgeo data set that are in train or val.

    Raises:
        ConfigError: there is no such data set, split or argument, or it has no masks.
        InputError: its files are not there.
        UnsafeInputError: its folder is not on this machine.
    """
    known = TorchgeoClass.of(said, config.root)
    found = [
        (split, files)
        for name in _parts(known, said, config)
        for files in _files(known, name, said, config)
        for split in [_split(name, files, said, config)]
        if split is not None
    ]
    keys = _keys([files for _, files in found], said.dataset, config)
    images = [files[keys[0]] for _, files in found]
    for name, (split, files) in zip(_ids(images, known.root), found, strict=True):
        image, *more, mask = (files[key] for key in keys)
        yield LabelledScene(id=name, image=image, more=tuple(more), mask=mask, split=split)


def fetch_torchgeo(said: TorchgeoConfig, config: DataConfig) -> None:
    """Let torchgeo fetch and unpack what of a data set is not there yet.

    Raises:
        ConfigError: there is no such data set, or torchgeo cannot fetch it.
        ResourceError: fetching failed.
    """
    known = TorchgeoClass.of(said, config.root)
    for name in _parts(known, said, config):
        known.fetch(split=name)
    if said.labels is not None:
        TorchgeoClass.of(said.labels, config.root).fetch(split=None)


def _parts(
    known: TorchgeoClass, said: TorchgeoConfig, config: DataConfig
) -> tuple[str | None, ...]:
    """Return torchgeo's names of the splits that are train or val; (None,) where it has none."""
    if not known.splits:
        return (None,)
    if said.val:
        raise ConfigError(
            f"data.torchgeo.val chooses scenes, but {said.dataset} has the splits "
            f"{' '.join(known.splits)}: name those that judge in data.splits.val"
        )
    wanted = {name: split_of(name, config.splits) for name in known.splits}
    if "train" not in wanted.values():
        raise ConfigError(
            f"torchgeo's {said.dataset} has the splits {' '.join(known.splits)}, none of which is "
            "train: name one in data.splits.train"
        )
    return tuple(name for name, split in wanted.items() if split is not None)


def _split(
    name: str | None, files: Files, said: TorchgeoConfig, config: DataConfig
) -> Split | None:
    if name is not None:
        return split_of(name, config.splits)
    stem = next(iter(files.values())).stem
    return "val" if any(fnmatch(stem, pattern) for pattern in said.val) else "train"


def _files(
    known: TorchgeoClass, name: str | None, said: TorchgeoConfig, config: DataConfig
) -> Sequence[Files]:
    """Return the files of each scene of a split."""
    import torchgeo.datasets as all_known

    if said.labels is not None:
        labels = TorchgeoClass.of(said.labels, config.root)
        return labels_under(known.opened_rasters(), labels.opened_rasters())
    dataset = known.opened(split=name)
    if isinstance(dataset, all_known.LandCoverAI):
        chips = [known.root / "output" / name.strip() for name in dataset.ids]
        return [{"image": Path(f"{chip}.jpg"), "mask": Path(f"{chip}_m.png")} for chip in chips]
    if isinstance(dataset, all_known.LandCoverAIGeo):
        images = [Path(image) for image in dataset.index.filepath]
        masks = known.root / "masks"
        return [{"image": image, "mask": masks / image.name} for image in images]
    found = getattr(dataset, "files", None)
    if isinstance(found, Sequence) and found and all(isinstance(one, Mapping) for one in found):
        return [_paths(one) for one in found]
    raise ConfigError(
        f"torchgeo's {said.dataset} has no files of images with masks: name the data set of its "
        "labels in data.torchgeo.labels, or list the files in a CSV (data.catalog)"
    )


def _paths(files: Mapping[str, object]) -> Files:
    return {key: Path(path) for key, path in files.items() if isinstance(path, str | Path)}


def _keys(found: Sequence[Files], dataset: str, config: DataConfig) -> list[str]:
    """Return what the images and the labels are called."""
    if not found:
        return [""]
    names = set.intersection(*(set(files) for files in found))
    wanted = (*config.image_columns, config.labels.column)
    keys = [find_name(name, names) for name in wanted]
    if None in keys:
        raise ConfigError(
            f"torchgeo's {dataset} has no {wanted[keys.index(None)]} among "
            f"{' '.join(sorted(names))}: name its files in data.image_columns and "
            "data.labels.column"
        )
    return [str(key) for key in keys]


def _ids(images: Sequence[Path], root: Path) -> list[str]:
    """Name scenes by their files, or by their paths where two files have one name."""
    if max(Counter(image.stem for image in images).values(), default=1) == 1:
        return [image.stem for image in images]
    return [image.relative_to(root).with_suffix("").as_posix() for image in images]
