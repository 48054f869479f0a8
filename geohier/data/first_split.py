"""The split.csv that `geohier init` writes: which scenes, or which blocks of them, judge."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from geohier.data.ground_blocks import ground_grids
from geohier.data.labelled_scene import windows_text
from geohier.data.resplit import folder_config, resplit, split_file_text
from geohier.data.scene import open_scene
from geohier.data.splits import block_split, blocks_of
from geohier.errors import InputError
from geohier.geo.window import Window

VAL_SHARE = 0.2
SCENES_TO_SPLIT_WHOLE = 5
"""From so many places on, val gets whole scenes; of fewer it gets blocks of each."""
BLOCK_PX, BUFFER_PX = 512, 64

type Pair = tuple[Path, Path]
type _Row = tuple[Pair, str, tuple[Window, ...]]


def split_text(folder: Path, pairs: tuple[Pair, ...], seed: int) -> str:
    """Return a split.csv: whole scenes for val where there are enough, else blocks of each.

    Scenes that show the same ground, such as several dates of one place, are on one side.

    Raises:
        InputError: an image cannot be read, or the scenes are too small to be shared out.
    """
    places = _places([image for image, _ in pairs])
    whole = len(places) >= SCENES_TO_SPLIT_WHOLE
    if not whole and len(places) < len(pairs):
        return _by_blocks_of_ground(folder, seed)
    rows = _by_scene(pairs, places, seed) if whole else _by_blocks(pairs, seed)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("scene", "split", "image", "mask", "windows"))
    for (image, mask), split, windows in rows:
        paths = (image.relative_to(folder).as_posix(), mask.relative_to(folder).as_posix())
        writer.writerow((image.stem, split, *paths, windows_text(windows)))
    return text.getvalue()


def _places(images: Sequence[Path]) -> list[tuple[int, ...]]:
    """Return the indexes of the images of each place."""
    boxes = []
    for image in images:
        with open_scene(image, allow_ungeoreferenced=True) as source:
            boxes.append(source.geobox)
    return [grid.scenes for grid in ground_grids(boxes, block_px=BLOCK_PX, buffer_px=0)]


def _by_blocks_of_ground(folder: Path, seed: int) -> str:
    config = folder_config(folder)
    found = resplit(config, shares=[VAL_SHARE], block_px=BLOCK_PX, buffer_px=BUFFER_PX, seed=seed)
    return split_file_text(found.folds[0], config, folder)


def _by_scene(pairs: tuple[Pair, ...], places: Sequence[tuple[int, ...]], seed: int) -> list[_Row]:
    judging = places_that_judge([len(place) for place in places], seed)
    val = {scene for place in judging for scene in places[place]}
    return [(pair, "val" if at in val else "train", ()) for at, pair in enumerate(pairs)]


def places_that_judge(scenes: Sequence[int], seed: int) -> list[int]:
    """Return the places whose scenes are val: drawn one by one until the share is reached.

    A place that would bring val to two shares is passed over, so that most scenes are learned from.

    Args:
        scenes: number of scenes of each place.
        seed: decides which places are drawn.
    """
    share, judged = round(VAL_SHARE * sum(scenes)), 0
    chosen: list[int] = []
    for place in np.random.default_rng(seed).permutation(len(scenes)).tolist():
        if judged < share and judged + scenes[place] < 2 * share:
            chosen.append(place)
            judged += scenes[place]
    return chosen


def _by_blocks(pairs: tuple[Pair, ...], seed: int) -> list[_Row]:
    blocks = {image.stem: blocks_of(*_shape(image), BLOCK_PX) for image, _ in pairs}
    if sum(map(len, blocks.values())) < 2:
        raise InputError(
            f"{pairs[0][0]}: is too small to be shared out between train and val: "
            f"give more scenes, or scenes of more than {BLOCK_PX} px"
        )
    splits = block_split(blocks, share=VAL_SHARE, buffer_px=BUFFER_PX, seed=seed)
    return [
        (pair, split, windows)
        for pair in pairs
        for split, windows in (
            ("train", splits[pair[0].stem].fit),
            ("val", splits[pair[0].stem].choose),
        )
        if windows
    ]


def _shape(image: Path) -> tuple[int, int]:
    with open_scene(image, allow_ungeoreferenced=True) as source:
        height, width = source.geobox.shape
        return int(height), int(width)
