"""Writing the memory of a model from scenes, as training does it, into a new model directory."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from geohier.data.labels import IGNORE_INDEX
from geohier.errors import ConfigError, InputError, ModelError, OutputExistsError
from geohier.inference.job import Job, check_options, prepare
from geohier.inference.options import PredictOptions
from geohier.inference.predictor import as_predictor
from geohier.inference.progress import Progress
from geohier.inference.target import check_outside_models
from geohier.layers.memory import LevelMemory, memories
from geohier.models.card import ModelCard
from geohier.models.directory import LoadedModel, load_model, save_model, stores_half
from geohier.models.level_features import level_features
from geohier.raster.files import shown
from geohier.studies.memory_scenes import MemoryScene, MemoryTile, memory_tiles

NOTE = "memory"
"""Where a card says, under `trained_on`, what a memory was written from after training."""

MOTIFS = "motifs"
"""What pixels are written to that are of no class."""

type WatchScene = Callable[[Job], AbstractContextManager[Progress | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryUpdate:
    """A memory that was written.

    Args:
        folder: the new model directory.
        scenes: SHA-256 of image and labels of each scene that it was written from, by its name.
        tiles: tiles that were written.
        pixels: pixels that counted, of each class; of a memory of motifs, of all together.
    """

    folder: Path
    scenes: dict[str, dict[str, str]]
    tiles: int
    pixels: dict[str, int]


class _Written:
    """What was written so far: tiles, and the numbers of the classes of pixels that counted."""

    def __init__(self) -> None:
        self.tiles = 0
        self.classes: Counter[int] = Counter()
        self.pixels = 0

    def add(self, tile: MemoryTile) -> None:
        self.tiles += 1
        self.pixels += int(tile.counted.sum())
        counts = tile.labels[tile.counted].bincount(minlength=IGNORE_INDEX + 1)[:IGNORE_INDEX]
        self.classes.update({int(at): int(counts[at]) for at in counts.nonzero()})


def check_update(model: Path, out: Path) -> LoadedModel:
    """Return the model whose memory is to be written, once it is known that it can be.

    Raises:
        OutputExistsError: there is something at `out`.
        ConfigError: `out` lies in a model directory.
        ModelError: the model cannot be read, or has no memory.
    """
    if out.exists():
        raise OutputExistsError(f"{shown(out)} is there already: give a new path")
    check_outside_models(out)
    loaded = load_model(model)
    if not memories(loaded.module):
        raise ModelError(
            f"{shown(model)} has no memory that could be written: train one with "
            "model.hierarchy.memory.slots"
        )
    return loaded


def update_memory(
    model: Path,
    scenes: Sequence[MemoryScene],
    out: Path,
    *,
    wipe: bool = False,
    options: PredictOptions | None = None,
    watch: WatchScene = lambda job: nullcontext(),
) -> MemoryUpdate:
    """Write what a network sees of scenes into its memory; `model` itself stays as it is.

    A tile counts as a step does in training: at most `layers.memory.CELLS` of its cells are
    written on each level, by the memory's own rule. Nothing else of the network changes, and equal
    scenes give equal bytes.

    Args:
        model: directory of a model with a memory.
        scenes: in the order in which they are written.
        out: model directory to make.
        wipe: begin with an empty memory.
        options: how scenes are read; tiles are seen one by one, in float32.
        watch: called with each scene's job; gives what is told how the work goes on.

    Raises:
        OutputExistsError: there is something at `out`.
        ModelError: the model has no memory, or does not fit a scene.
        ConfigError: it remembers classes, and the scenes have no labels.
        InputError: a scene cannot be read, or nothing in the scenes could be written.
        ResourceError: `out` cannot be written.
    """
    loaded = check_update(model, out)
    (memory,) = memories(loaded.module)
    _check_labels(memory, scenes)
    options = replace(options or PredictOptions(), batch_size=1, precision="fp32")
    predictor = as_predictor(loaded)
    check_options(options, predictor)
    for scene in scenes:  # what does not fit is told before the first is written
        with scene.open() as source:
            scene.labels_over(prepare(source, predictor, options))
    if wipe:
        memory.wipe()
    written, hashes = _Written(), dict[str, dict[str, str]]()
    for scene in scenes:
        with scene.open() as source:
            job = prepare(source, predictor, options)
            hashes[scene.name] = scene.hashes(job.source)
            with watch(job) as progress:
                _write(memory, job, scene, written, progress)
    pixels = _pixels(memory, loaded.card, written)
    card = _noted(loaded, hashes, wiped=wipe)
    save_model(out, loaded.module, card, loaded.config, half=stores_half(model))
    return MemoryUpdate(folder=out, scenes=hashes, tiles=written.tiles, pixels=pixels)


def _check_labels(memory: LevelMemory, scenes: Sequence[MemoryScene]) -> None:
    if memory.by_class and any(scene.labelled is None for scene in scenes):
        raise ConfigError(
            "this model remembers classes, which scenes without labels do not tell: give labelled "
            "ones with --data CONFIG"
        )


def _write(
    memory: LevelMemory,
    job: Job,
    scene: MemoryScene,
    written: _Written,
    progress: Progress | None,
) -> None:
    on_disk, done = scene.labels_over(job), 0
    total = job.plan.grid.height * job.plan.grid.width
    with job.scorer() as scorer, torch.no_grad():
        memory.train()  # so that it keeps what it sees; the rest of the network predicts
        for tile in memory_tiles(job, on_disk):
            level_features(scorer.model, scorer.normalised(tile.batch))
            labels, counted = tile.labels.to(scorer.device), tile.counted.to(scorer.device)
            memory.write(labels, _own, counted)
            written.add(tile)
            done += tile.pixels
            if progress is not None:
                progress(done, total)
        kept = [buffer.cpu() for buffer in memory.buffers()]
    for buffer, value in zip(memory.buffers(), kept, strict=True):
        buffer.copy_(value)  # what ran on another device was a copy


def _own(value: Tensor) -> Tensor:
    """Return the sum over all processes: there is one."""
    return value


def _pixels(memory: LevelMemory, card: ModelCard, written: _Written) -> dict[str, int]:
    """Return how many pixels counted, by the name of what they were written to.

    Raises:
        InputError: none did.
    """
    if not memory.by_class:
        found = {MOTIFS: written.pixels}
    else:
        found = {one.name: written.classes[at] for at, one in enumerate(card.classes)}
    if not any(found.values()):
        missing = "has a label of the model's classes" if memory.by_class else "is valid"
        raise InputError(f"no pixel of the scenes {missing}: there is nothing to write")
    return found


def _noted(
    loaded: LoadedModel, hashes: Mapping[str, Mapping[str, str]], *, wiped: bool
) -> ModelCard:
    """Return the card, with what the memory was written from after training, update by update."""
    found = loaded.card.trained_on.get(NOTE)
    before = found if isinstance(found, list) else []
    note = {"model_sha256": loaded.sha256, "wiped": wiped, "data_sha256": hashes}
    return replace(loaded.card, trained_on={**loaded.card.trained_on, NOTE: [*before, note]})
