"""Where a memory is written from: scenes, with their labels where it remembers classes."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from geohier.config.schema import DataConfig
from geohier.data.catalog import LabelledScene, Split
from geohier.data.label_rules import LabelRules
from geohier.data.labelled import LabelledPixels
from geohier.data.labels import IGNORE_INDEX, LabelTable, check_values
from geohier.data.normalise import file_hash
from geohier.data.scene import open_scene
from geohier.geo.tiling import TileGrid
from geohier.geo.window import Window
from geohier.inference.batching import TileBatch, TileRowReader
from geohier.inference.job import Job
from geohier.inference.many import Assignment
from geohier.models.card import ModelCard
from geohier.raster.files import is_remote
from geohier.raster.source import PixelSource
from geohier.studies.evaluate_model import classes_of, scenes_of


@dataclass(frozen=True, slots=True)
class LabelsOnDisk:
    """How the labels of scenes become numbers of a model's classes."""

    table: LabelTable
    rules: LabelRules

    def over(self, scene: LabelledScene, job: Job) -> LabelledPixels:
        """Open the labels of a scene over its image.

        Raises:
            LabelError: they cannot be laid over it, or hold what is neither a class nor ignored.
        """
        pixels = LabelledPixels(scene, job.match.choice, self.table, self.rules)
        check_values(pixels.label_values(), self.table, scene.mask)
        return pixels


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryScene:
    """A scene that a memory is written from.

    Args:
        name: of the scene.
        open: opens its image.
        labelled: the scene as a catalogue lists it; None where it has no labels.
        labels: how its labels are read.
    """

    name: str
    open: Callable[[], PixelSource]
    labelled: LabelledScene | None = None
    labels: LabelsOnDisk | None = None

    def labels_over(self, job: Job) -> LabelledPixels | None:
        """Open its labels, if it has any."""
        if self.labelled is None or self.labels is None:
            return None
        return self.labels.over(self.labelled, job)

    def hashes(self, source: PixelSource) -> dict[str, str]:
        """Return the SHA-256 of image and labels; what lies on the network has none."""
        found = {}
        files = [path for path in source.files if not is_remote(path)]
        if files:
            found["image"] = file_hash(*files)
        if self.labelled is not None:
            found["mask"] = file_hash(self.labelled.mask)
        return found


def plain_scenes(assignments: Sequence[Assignment]) -> list[MemoryScene]:
    """Return scenes without labels."""
    return [MemoryScene(name=one.name, open=one.open) for one in assignments]


def labelled_scenes(data: DataConfig, split: Split, card: ModelCard) -> list[MemoryScene]:
    """Return the scenes of a split, with labels as a model numbers its classes.

    Raises:
        InputError: the split has no scene.
        ConfigError: the classes of the model and of the config differ.
    """
    classes_of(card, data)
    by_name = {one.name: one for one in data.classes}
    table = LabelTable(tuple(by_name[one.name] for one in card.classes), data.ignored)
    labels = LabelsOnDisk(table, LabelRules.of(data))
    return [_labelled(one, labels) for one in scenes_of(data, split)]


def _labelled(scene: LabelledScene, labels: LabelsOnDisk) -> MemoryScene:
    def opened() -> PixelSource:
        return open_scene(scene.raster(), allow_ungeoreferenced=True)

    return MemoryScene(name=scene.id, open=opened, labelled=scene, labels=labels)


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryTile:
    """One tile on its way into a memory.

    Args:
        batch: of this tile alone.
        labels: `(1, S, S)` class indexes, IGNORE_INDEX where unlabelled.
        counted: `(1, S, S)`, valid pixels that no other tile counts.
        pixels: pixels of the raster that are done with it.
    """

    batch: TileBatch
    labels: Tensor
    counted: Tensor
    pixels: int


def memory_tiles(job: Job, labels: LabelledPixels | None) -> Iterator[MemoryTile]:
    """Yield the tiles of a scene that hold data, row by row, swath by swath."""
    grid = job.plan.grid
    for number, swath in enumerate(job.plan.swaths):
        columns = swath if number == 0 else swath[1:]  # its first is the last of the one before
        reader = TileRowReader(
            job.reader, grid, columns=columns, bands=len(job.match.indexes), area=job.area
        )
        for row in range(grid.rows):
            final = _final(grid, row, columns)
            tiles = reader.read(row, final)
            for batch in tiles.batches(1):
                yield _tile(grid, batch, tiles.wanted, final, labels)


def _final(grid: TileGrid, row: int, columns: range) -> Window:
    """Return what tiles of a row finish, so that each pixel counts with one tile."""
    rows, first = grid.finished_rows(row), grid.finished_columns(columns[0]).start
    width = grid.finished_columns(columns[-1]).stop - first
    return Window(row_off=rows.start, col_off=first, height=len(rows), width=width)


def _tile(
    grid: TileGrid,
    batch: TileBatch,
    wanted: NDArray[np.bool_],
    final: Window,
    labels: LabelledPixels | None,
) -> MemoryTile:
    (tile,) = batch.tiles
    own = grid.finished_columns(tile.column)
    counted = np.zeros((grid.size, grid.size), np.bool_)
    here = final.shifted(rows=-tile.window.row_off, cols=-tile.window.col_off)
    at = slice(own.start - tile.window.col_off, own.stop - tile.window.col_off)
    counted[here.slices[0], at] = wanted[:, own.start - final.col_off : own.stop - final.col_off]
    found = np.full(counted.shape, IGNORE_INDEX, np.uint8)
    if labels is not None:
        found = labels.read(tile.window).labels
    return MemoryTile(
        batch=batch,
        labels=torch.from_numpy(found).long()[None],
        counted=torch.from_numpy(counted)[None],
        pixels=final.height * len(own),
    )
