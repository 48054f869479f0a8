"""Which labelled scenes a config names, and which split each belongs to. Opens no raster.

Three layouts are read:

- explicit lists, `data.train` and `data.val`;
- `split.csv` in `data.root`, with the columns scene, split, image, mask (paths relative to the
  root; `data.image_columns` and `data.labels.column` may name others) and, where only part of a
  scene is in a split, windows: "row col height width; ...";
- folders `train/` and `val/` in `data.root`, each holding image and mask pairs (`pairs.py`).
"""

import csv
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from geohier.config.schema import DataConfig, ImageMaskPair
from geohier.data.pairs import find_pairs
from geohier.data.scene import Scene, scene_at
from geohier.errors import InputError, TilingError
from geohier.geo.window import Window
from geohier.raster.stack import StackFile

SPLIT_FILE = "split.csv"
type Split = Literal["train", "val"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledScene:
    """One scene, its labels, and its split.

    Args:
        id: name of the scene, unique within its split.
        image: raster, scene file or SAFE folder that gives the grid.
        more: further rasters of the same place.
        mask: label raster, or vector file.
        split: `train` is learned from, `val` judges.
        windows: parts of the scene that are in the split; empty for the whole scene.
    """

    id: str
    image: Path
    mask: Path
    split: Split
    more: tuple[Path, ...] = ()
    windows: tuple[Window, ...] = ()

    def raster(self) -> Scene:
        """Return all files of the scene as one raster."""
        first = scene_at(self.image)
        if not self.more:
            return first
        files = (*first.files, *(StackFile(path=path) for path in self.more))
        return Scene(id=self.id, path=self.image, files=files)


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
    """
    found = list(_listed(config) if config.train else _found_in(config))
    _refuse_duplicates(found)
    _refuse_unknown(config.exclude, found)
    catalog = Catalog(tuple(scene for scene in found if scene.id not in config.exclude))
    if not catalog.train:
        raise InputError(
            f"{config.root}: no scene is left to train on ({len(found)} found, "
            f"{len(found) - len(catalog.scenes)} excluded): give train scenes"
        )
    for scene in catalog.scenes:
        for image in (scene.image, *scene.more):
            _require(image, scene.id, "image")
        _require(scene.mask, scene.id, "mask")
    return catalog


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
        yield from read_split_file(
            root / SPLIT_FILE, images=config.image_columns, labels=config.labels.column
        )
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


def read_split_file(
    path: Path, *, images: Sequence[str] = ("image",), labels: str = "mask"
) -> Iterator[LabelledScene]:
    """Yield the scenes of a split.csv that are train or val; other splits are left out.

    Args:
        path: the file.
        images: columns whose rasters together are a scene.
        labels: column of the labels.

    Raises:
        InputError: the file cannot be read, lacks a column, or a row has an empty cell.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as text: {error}") from error
    rows = csv.DictReader(text.splitlines())
    columns = ("scene", "split", *images, labels)
    missing = [name for name in columns if name not in (rows.fieldnames or ())]
    if missing:
        raise InputError(
            f"{path}: no column {' '.join(missing)} among {' '.join(rows.fieldnames or ())}: "
            f"the columns are {' '.join(columns)}"
        )
    for row in rows:
        if row["split"] in ("train", "val"):
            yield _from_row(row, columns, path, rows.line_num)


def _from_row(
    row: dict[str, str], columns: tuple[str, ...], path: Path, line: int
) -> LabelledScene:
    _, _, *images, labels = columns
    empty = [name for name in columns if not row[name]]
    if empty:
        raise InputError(f"{path}: line {line}: {' '.join(empty)} is empty: fill it in")
    return LabelledScene(
        id=row["scene"],
        image=path.parent / row[images[0]],
        more=tuple(path.parent / row[name] for name in images[1:]),
        mask=path.parent / row[labels],
        split="train" if row["split"] == "train" else "val",
        windows=_windows(row.get("windows") or "", f"{path}: line {line}"),
    )


def _windows(text: str, where: str) -> tuple[Window, ...]:
    try:
        return tuple(_window(part) for part in text.split(";") if part.strip())
    except (ValueError, TilingError) as error:
        raise InputError(
            f"{where}: windows {text!r:.60}: give 'row col height width; ...' in whole pixels"
        ) from error


def _window(text: str) -> Window:
    row, col, height, width = (int(number) for number in text.split())
    return Window(row_off=row, col_off=col, height=height, width=width)


def windows_text(windows: Iterable[Window]) -> str:
    """Return windows as the text of a split.csv cell.

    Example:
        >>> windows_text([Window(row_off=0, col_off=8, height=4, width=2)])
        '0 8 4 2'
    """
    return "; ".join(f"{w.row_off} {w.col_off} {w.height} {w.width}" for w in windows)


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
