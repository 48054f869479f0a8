"""A split of labelled scenes by blocks of ground: one part for val, or k folds."""

import csv
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geohier.config.schema import DataConfig
from geohier.config.sources import Names, SplitsConfig
from geohier.data.catalog import SPLIT_FILE, LabelledScene, Split, read_catalog
from geohier.data.class_guess import guess_classes
from geohier.data.ground_blocks import GroundGrid, ground_grids
from geohier.data.label_rules import LabelRules
from geohier.data.labelled import LabelledPixels
from geohier.data.labelled_scene import windows_text
from geohier.data.labels import IGNORE_INDEX, LabelTable, check_values
from geohier.data.pairs import find_pairs
from geohier.data.scene_bands import choose_bands, find_bands
from geohier.data.splits import grown, subtract
from geohier.data.stratify import UNLABELLED, stratified_parts
from geohier.data.strips import OnPixels, labelled_strips
from geohier.errors import ConfigError, OutputExistsError
from geohier.geo.window import Window, intersection
from geohier.raster.durable import write_durably, writing


@dataclass(frozen=True, slots=True, kw_only=True)
class Fold:
    """One way to part the scenes.

    Args:
        scenes: the scenes of both splits, with their windows.
        val_blocks: blocks of ground that judge.
        val_px: labelled pixels of each class in them, by its name.
    """

    scenes: tuple[LabelledScene, ...]
    val_blocks: int
    val_px: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Resplit:
    """A split, or several.

    Args:
        folds: one, or k of which each labelled block judges in exactly one.
        blocks: blocks of ground that hold labels.
        class_px: labelled pixels of each class in all scenes, by its name.
    """

    folds: tuple[Fold, ...]
    blocks: int
    class_px: Mapping[str, int]

    def to_json(self, files: Sequence[Path]) -> dict[str, Any]:
        """Return plain values; `files` are those that the folds were written to."""
        folds = [
            {"file": str(file), "val_blocks": fold.val_blocks, "val_px": dict(fold.val_px)}
            for fold, file in zip(self.folds, files, strict=True)
        ]
        return {"blocks": self.blocks, "class_px": dict(self.class_px), "folds": folds}


def folder_config(folder: Path) -> DataConfig:
    """Return the scenes of a folder without a config; each label value is a class.

    Raises:
        InputError: there are no pairs of images and masks, or one cannot be read.
        LabelError: the masks do not look like labels.
    """
    values: dict[str, object] = {"root": folder.absolute(), "classes": {0: "a", 1: "b"}}
    if (folder / SPLIT_FILE).is_file() or (folder / "train").is_dir():
        scenes = read_catalog(DataConfig.model_validate(values)).scenes
        pairs = [(scene.image, scene.mask) for scene in scenes]
    else:
        pairs = list(find_pairs(folder))
        listed = [{"image": one.absolute(), "mask": mask.absolute()} for one, mask in pairs]
        values["train"] = listed
    guess = guess_classes((labels for _, labels in pairs), folder)
    said = {"classes": guess.classes, "ignore": guess.ignore, "labels": guess.labels}
    return DataConfig.model_validate({**values, **said})


def resplit(
    config: DataConfig,
    *,
    shares: Sequence[float],
    block_px: int,
    buffer_px: int,
    seed: int,
    on_pixels: OnPixels = lambda done, total: None,
) -> Resplit:
    """Part the scenes of a config anew, whatever split they have, by blocks of ground.

    A block goes to one part as a whole, in every scene that shows it. What is left for train keeps
    the buffer to each block of val, across the edges of scenes too.

    Args:
        config: the scenes and classes.
        shares: share of each fold's val; they sum to 1, or less if some blocks never judge.
        block_px: side that blocks should have, in pixels of the scene.
        buffer_px: strip around each val block that is in neither split.
        seed: decides between blocks of about one size.
        on_pixels: told how many pixels are done, and how many there are.

    Raises:
        InputError: a scene cannot be used.
        LabelError: labels do not fit the image, or the classes.
        ConfigError: there are too few blocks, or the buffers leave nothing to train on.
    """
    kept, left_out = _scenes(config)
    opened = _open(kept, config)
    grids = ground_grids([one.geobox for one in opened], block_px=block_px, buffer_px=buffer_px)
    amounts = _count(opened, grids, len(config.classes), on_pixels)
    rest = 1 - sum(shares)
    wanted = (*shares, rest) if rest > 1e-9 else tuple(shares)
    parts = stratified_parts(amounts, wanted, seed=seed)
    names = [one.name for one in config.classes]
    folds = []
    for number in range(len(shares)):
        scenes = _parted(opened, grids, parts == number, buffer_px)
        if not any(scene.split == "train" for scene in scenes):
            raise ConfigError(
                f"buffers of {buffer_px} px around the val blocks leave nothing to train on: lower "
                "--buffer-px or --block-px"
            )
        judged = amounts[parts == number].sum(axis=0).tolist()
        folds.append(
            Fold(
                scenes=(*scenes, *left_out),
                val_blocks=int((parts == number).sum()),
                val_px=dict(zip(names, judged, strict=True)),
            )
        )
    return Resplit(
        folds=tuple(folds),
        blocks=int((parts != UNLABELLED).sum()),
        class_px=dict(zip(names, amounts.sum(axis=0).tolist(), strict=True)),
    )


def _scenes(config: DataConfig) -> tuple[list[LabelledScene], list[LabelledScene]]:
    """Return each scene once, whole or with all of its windows; and those that are excluded."""
    found: dict[tuple[object, ...], LabelledScene] = {}
    for scene in read_catalog(config.model_copy(update={"exclude": ()})).scenes:
        key = (scene.id, scene.image, scene.more, scene.mask)
        before = found.get(key)
        if before is not None:
            windows = (*before.windows, *subtract(scene.windows, before.windows))
            scene = replace(scene, windows=windows if before.windows and scene.windows else ())
        found[key] = scene
    left_out = [scene for scene in found.values() if scene.id in config.exclude]
    kept = [scene for scene in found.values() if scene.id not in config.exclude]
    return list(_renamed(kept, {scene.id for scene in found.values()})), left_out


def _renamed(scenes: Sequence[LabelledScene], taken: set[str]) -> Iterator[LabelledScene]:
    """Give scenes of one name, which differ in their labels, names that none has taken."""
    seen: set[str] = set()
    for scene in scenes:
        name, number = scene.id, 1
        while name in seen or (number > 1 and name in taken):
            number += 1
            name = f"{scene.id}_{number}"
        seen.add(name)
        yield replace(scene, id=name)


def _open(scenes: Sequence[LabelledScene], config: DataConfig) -> list[LabelledPixels]:
    if not scenes:
        raise ConfigError("data.exclude names all scenes: none is left to split")
    if config.dates is not None:
        raise ConfigError(
            "a split lists scenes, and data.dates makes them of several rows: split places by "
            f"data.splits (column: {config.dates.place}), or list scene files with dates"
        )
    names, declared = choose_bands(scenes[0], config.bands)
    table, rules = LabelTable(config.classes, config.ignored), LabelRules.of(config)
    find = partial(find_bands, names=names, declared=declared, dates=None)
    return [LabelledPixels(scene, find(scene), table, rules) for scene in scenes]


def _count(
    opened: Sequence[LabelledPixels],
    grids: Sequence[GroundGrid],
    classes: int,
    on_pixels: OnPixels,
) -> NDArray[np.int64]:
    """Return the labelled pixels of each class in each block, `(N, K)`, grid after grid."""
    done, total = 0, sum(one.shape[0] * one.shape[1] for one in opened)
    on_pixels(0, total)
    counts = []
    for grid in grids:
        counts.append(np.zeros((grid.shape[0] * grid.shape[1], classes), np.int64))
        for scene in grid.scenes:
            one = opened[scene]
            check_values(one.label_values(), one.table, one.scene.mask)
            for number, found in _counted(one, list(grid.blocks_in(scene))):
                counts[-1][number] += found[:classes]
            done += one.shape[0] * one.shape[1]
            one.close()
            on_pixels(done, total)
    return np.concatenate(counts)


def _counted(
    one: LabelledPixels, blocks: Sequence[tuple[int, Window]]
) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Yield blocks with the pixels of each class index that a strip of the scene has in them."""
    for strip in labelled_strips(one):
        labels = one.read(strip).labels
        for number, window in blocks:
            if window.row_off < strip.row_stop and window.row_stop > strip.row_off:
                shared = intersection(window, strip)
                if shared is not None:
                    part = labels[shared.shifted(rows=-strip.row_off).slices]
                    yield number, np.bincount(part.ravel(), minlength=IGNORE_INDEX + 1)


def _parted(
    opened: Sequence[LabelledPixels],
    grids: Sequence[GroundGrid],
    judges: NDArray[np.bool_],
    buffer_px: int,
) -> list[LabelledScene]:
    """Return the scenes, each in the splits that it has a part in."""
    found: list[tuple[int, LabelledScene]] = []
    first = 0
    for grid in grids:
        count = grid.shape[0] * grid.shape[1]
        chosen = set(np.flatnonzero(judges[first : first + count]).tolist())
        first += count
        for at in grid.scenes:
            one = opened[at]
            near = grid.blocks_in(at, reach_px=buffer_px)
            val = [window for number, window in near if number in chosen]
            found += [(at, scene) for scene in _in_splits(one, val, buffer_px)]
    return [scene for _, scene in sorted(found, key=lambda pair: pair[0])]


def _in_splits(
    one: LabelledPixels, val: Sequence[Window], buffer_px: int
) -> Iterator[LabelledScene]:
    height, width = one.shape
    whole = Window(row_off=0, col_off=0, height=height, width=width)
    given = one.scene.windows or (whole,)
    own = [part for window in given if (part := intersection(window, whole))]
    holes = [grown(window, buffer_px) for window in val]
    train = subtract(own, [hole for hole in holes if intersection(hole, whole)])
    judged = [part for window in val for mine in own if (part := intersection(window, mine))]
    splits: tuple[tuple[Split, Sequence[Window]], ...] = (("train", train), ("val", judged))
    for split, windows in splits:
        if windows:
            said = () if list(windows) == [whole] else tuple(windows)
            yield replace(one.scene, split=split, windows=said)


def split_file_text(fold: Fold, config: DataConfig, folder: Path) -> str:
    """Return a fold as the split.csv of a folder, from which its paths start.

    Raises:
        ConfigError: a scene has other files than `data.image_columns` names, or `data.splits` has
            no name for a split.
    """
    names = {split: _split_name(split, config.splits) for split in ("train", "val")}
    labels = config.labels.column
    columns = ("scene", config.splits.column, *config.image_columns, labels, "windows")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for scene in fold.scenes:
        images = (scene.image, *scene.more)
        if len(images) != len(config.image_columns):
            raise ConfigError(
                f"scene {scene.id} has {len(images)} images, but data.image_columns names "
                f"{len(config.image_columns)} ({' '.join(config.image_columns)}): name as many"
            )
        files = [_relative(path, folder) for path in (*images, scene.mask)]
        writer.writerow((scene.id, names[scene.split], *files, windows_text(scene.windows)))
    return text.getvalue()


def _split_name(split: str, splits: SplitsConfig) -> str | int:
    """Return what a config calls a split."""
    names: Names = getattr(splits, split)
    if not names:
        raise ConfigError(f"data.splits has no name for {split}: name one, such as {split}")
    return names[0]


def _relative(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(path.absolute(), folder.resolve())).as_posix()


def write_split_files(
    found: Resplit, config: DataConfig, targets: Sequence[Path], *, overwrite: bool
) -> None:
    """Write each fold as a split.csv.

    Raises:
        OutputExistsError: one is there already, and is not to be overwritten; none is written.
        ResourceError: one cannot be written.
    """
    refuse_existing(targets, overwrite=overwrite)
    for fold, target in zip(found.folds, targets, strict=True):
        with writing(target):
            target.parent.mkdir(parents=True, exist_ok=True)
        write_durably(target, split_file_text(fold, config, target.parent).encode())


def refuse_existing(targets: Sequence[Path], *, overwrite: bool) -> None:
    """Check that no file stands in the way.

    Raises:
        OutputExistsError: one does, and is not to be overwritten.
        ConfigError: a split would not be called as a table, as a config or an image is not.
    """
    for target in targets:
        if target.suffix.lower() != ".csv":
            raise ConfigError(f"{target}: a split is a table: give a name that ends in .csv")
    there = [target for target in targets if target.exists()]
    if there and not overwrite:
        raise OutputExistsError(
            f"{there[0]}: is there already: give another --out, or --overwrite to replace it"
        )
