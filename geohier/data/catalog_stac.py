"""Labelled scenes from a STAC catalogue, collection or item on disk.

Each item is a scene: the assets that `data.image_columns` and `data.labels.column` name are its
images and labels. Where the usual keys (image, mask, label ...) are absent, roles decide. Links are
followed on this machine only, and never out of the folder.
"""

import json
import os
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from geohier.config.schema import DataConfig
from geohier.data.catalog_names import find_name, split_of
from geohier.data.labelled_scene import LabelledScene, Split, windows_of
from geohier.errors import InputError, UnsafeInputError, first_cause
from geohier.raster.files import is_remote, local_file, shown

LARGEST_BYTES = 64 * 2**20
"""An item or a collection is some kilobytes: what is larger is something else."""

DEEPEST = 32
"""Catalogues in catalogues that are followed."""

SPLIT_OF_ML_AOI = "ml-aoi:split"
"""Property for the split in the STAC extension of areas of interest for machine learning."""

ROLES = {"image": ("image", "data", "visual"), "mask": ("mask", "label", "labels", "labels-raster")}
"""Roles of the assets that are meant where no asset is called so."""


def is_stac(path: Path) -> bool:
    """Return whether a JSON file says that it is STAC.

    Raises:
        InputError: the file cannot be read, or is named .json and is none.
    """
    return path.suffix.lower() == ".json" and "stac_version" in _read(path)


def read_stac(path: Path, config: DataConfig) -> Iterator[LabelledScene]:
    """Yield the items that are in train or val.

    Raises:
        InputError: a file is missing or no STAC, links go in a circle, or an item lacks an asset.
        UnsafeInputError: a link or an asset leads to the network or out of the folder.
    """
    at = _plain(path)
    within = (at.parent, _plain(config.root))
    for item, file, groups in _items(at, (), set(), within):
        split = _split(item, groups, config)
        if split is not None:
            yield _scene(item, file, split, config, within)


def _items(
    path: Path, trail: tuple[Path, ...], seen: set[Path], within: tuple[Path, ...]
) -> Iterator[tuple[Any, Path, tuple[str, ...]]]:
    """Yield the items below a file, each with its own file and what it is grouped in, inmost first.

    An item or a catalogue that several links lead to is read once.
    """
    _refuse_circles(path, trail)
    if path in seen:
        return
    seen.add(path)
    here = _parse(path)
    if here.STAC_OBJECT_TYPE == "Feature":
        yield here, path, (here.collection_id or "",)
        return
    for link in (*here.get_child_links(), *here.get_item_links()):
        target = _local(link.get_target_str() or "", path, within)
        for item, file, groups in _items(target, (*trail, path), seen, within):
            yield item, file, (*groups, here.id)


def _refuse_circles(path: Path, trail: tuple[Path, ...]) -> None:
    if path in trail:
        circle = " -> ".join(shown(one) for one in (*trail[trail.index(path) :], path))
        raise InputError(f"the links of a STAC catalogue go in a circle, {circle}: remove one")
    if len(trail) > DEEPEST:
        raise InputError(f"{shown(path)} lies below {len(trail)} catalogues: {DEEPEST} are read")


def _scene(
    item: Any,  # noqa: ANN401 - pystac is imported late
    file: Path,
    split: Split,
    config: DataConfig,
    within: tuple[Path, ...],
) -> LabelledScene:
    wanted = (*config.image_columns, config.labels.column)
    keys = [_asset(item, name, file) for name in wanted]
    image, *more, mask = (_local(item.assets[key].href, file, within) for key in keys)
    return LabelledScene(
        id=item.id,
        image=image,
        more=tuple(more),
        mask=mask,
        split=split,
        windows=windows_of(str(item.properties.get("windows", "")), shown(file)),
    )


def _asset(item: Any, wanted: str, file: Path) -> str:  # noqa: ANN401
    """Return the key of the asset that is meant."""
    key = find_name(wanted, item.assets)
    if key is not None:
        return key
    roles = set(ROLES.get(wanted, (wanted,)))
    fitting = [str(name) for name, asset in item.assets.items() if roles & set(asset.roles or ())]
    if len(fitting) != 1:
        assets = " ".join(
            f"{name} ({', '.join(asset.roles or ('no role',))})"
            for name, asset in item.assets.items()
        )
        raise InputError(
            f"{shown(file)}: {len(fitting) or 'none'} of its assets can be {wanted}: {assets}; "
            "name one in data.image_columns or data.labels.column"
        )
    return fitting[0]


def _split(item: Any, groups: Iterable[str], config: DataConfig) -> Split | None:  # noqa: ANN401
    """Return the split by a property, or else by the name of a collection or catalogue."""
    for name in (config.splits.column, SPLIT_OF_ML_AOI):
        if name in item.properties:
            return split_of(item.properties[name], config.splits)
    return next(filter(None, (split_of(name, config.splits) for name in groups)), None)


def _local(href: str, beside: Path, within: tuple[Path, ...]) -> Path:
    """Return the file that a link leads to, if it lies in one of the folders."""
    if is_remote(href):
        raise UnsafeInputError(
            f"{shown(beside)} leads to {href!r:.200}, which is not on this machine: download it "
            "into the folder and give its path"
        )
    path = _plain(beside.parent / href)
    if not any(path.is_relative_to(folder) for folder in within):
        raise UnsafeInputError(
            f"{shown(beside)} leads to {href!r:.200}, out of {shown(within[0])}: move it into the "
            "folder, or set data.root to a folder that holds both"
        )
    return path


def _plain(path: Path) -> Path:
    """Return a full path without `..`; links of the file system stay, for a user made them."""
    return Path(os.path.normpath(path.absolute()))


def _read(path: Path) -> dict[str, Any]:
    file = local_file(path)
    try:
        if file.stat().st_size > LARGEST_BYTES:
            raise InputError(f"{shown(path)} is larger than {LARGEST_BYTES} bytes: no STAC is")
        found = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{shown(path)}: cannot be read as JSON: {error}") from error
    if not isinstance(found, dict):
        raise InputError(f"{shown(path)} holds a {type(found).__name__}: give a STAC catalogue")
    return found


def _parse(path: Path) -> Any:  # noqa: ANN401
    found = _read(path)
    version = str(found.get("stac_version", "(none)"))
    if not version.startswith("1."):  # items before 1.0 send pystac to their collection's URL
        raise InputError(f"{shown(path)} is of STAC version {version}: 1.0 or later is read")
    import pystac

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return pystac.read_dict(found, href=str(path))
    except Exception as error:
        raise InputError(
            f"{shown(path)} is no STAC that can be read: {type(error).__name__}: "
            f"{first_cause(error):.200}"
        ) from error
