"""What a prediction will do, before it does anything: tiles, swaths, memory, disk, time."""

import math
import time
from dataclasses import dataclass

import torch

from geohier.efficiency.memory import total_bytes
from geohier.efficiency.precision import choose_device, choose_precision
from geohier.errors import ConfigError
from geohier.geo.coarse_view import CoarseView
from geohier.geo.dates import CHANNELS
from geohier.geo.tiling import TileGrid
from geohier.inference.features import Features
from geohier.inference.options import PredictOptions
from geohier.inference.scoring import Scorer
from geohier.inference.tile_choice import choose_grid
from geohier.models.card import ModelCard
from geohier.raster.source import PixelReader

CUDA_BATCH = 8
SHARE_OF_MEMORY = 0.25
BYTES_PER_ANSWER = 4
"""Scores, probabilities and features are float32."""
NETWORK_BYTES_PER_CELL = 5600
"""What a network holds for each cell of its finest level while it runs: FPN-resnet18 in float32 was
seen to take 350 bytes per pixel, its finest stride is 4."""
FINEST_STRIDE = 4
"""Finest stride where a card says nothing about it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkPlan:
    """How a scene is cut into work. Equal choices on the same machine give equal plans.

    Args:
        grid: the tiles.
        swaths: ranges of tile columns that are worked through one after the other; each but the
            first begins with the last column of the one before, which it recomputes.
        batch_size: tiles that go through the model together.
        device: where the model runs.
        precision: `bf16` or `fp32`.
        memory_bytes: estimated peak of what grows with the raster's width and the tile's size.
    """

    grid: TileGrid
    swaths: tuple[range, ...]
    batch_size: int
    device: str
    precision: str
    memory_bytes: int
    notes: tuple[str, ...] = ()

    @property
    def parts(self) -> int:
        """Part files of each layer."""
        return self.grid.rows * len(self.swaths)


def plan_work(
    reader: PixelReader,
    card: ModelCard,
    options: PredictOptions,
    features: Features | None = None,
    dates: int = 1,
) -> WorkPlan:
    """Choose tiles, batch, precision and swaths for a scene and a model.

    Args:
        reader: the bands that the model reads.
        card: the model's.
        options: what a user has chosen.
        features: what is written in place of classes.
        dates: images of the same bands that are read together, as of a stack.

    Raises:
        ConfigError: the options do not fit each other, the model, or the memory.
    """
    device = choose_device(options.device)
    height, width = reader.geobox.shape
    allowed = _allowed_bytes(options)
    batch_size = options.batch_size or (CUDA_BATCH if device.type == "cuda" else 1)
    on_host = batch_size if device.type == "cpu" else 0
    answers = _answers_per_pixel(card, features)
    grid = choose_grid(
        card,
        height=height,
        width=width,
        size=options.size,
        overlap=options.overlap,
        blend=options.blend,
        cell=1 if features is None else features.stride,
        fits=lambda size: _tile_bytes(size, card, answers, on_host, dates) <= allowed // 2,
    )
    fixed = _tile_bytes(grid.size, card, answers, on_host, dates)
    per_column = _bytes_per_tile_column(reader, grid, card, answers, dates)
    if options.exits is not None:
        views = options.exits.views(grid, card)
        fixed += dates * max(_view_bytes(view, card, reader) for view in views)
        rows = 2 * max(view.reach for view in views)
        per_column += dates * grid.step * rows * (len(card.bands) * reader.dtype.itemsize + 1)
    columns = (allowed - fixed) // per_column
    if columns < min(2, grid.columns):
        raise ConfigError(
            f"{batch_size} tiles of {grid.size} px at once need more than {allowed / 2**30:.3g} "
            "GiB: choose a smaller --size or --batch-size, or a larger --memory-gb"
        )
    swaths = _swaths(grid.columns, columns)
    return WorkPlan(
        grid=grid,
        swaths=swaths,
        batch_size=batch_size,
        device=str(device),
        precision=choose_precision(options.precision, device),
        memory_bytes=fixed + per_column * max(map(len, swaths)),
        notes=_notes(card, grid, options),
    )


def _notes(card: ModelCard, grid: TileGrid, options: PredictOptions) -> tuple[str, ...]:
    notes = []
    if card.tile_dependent:
        trained = card.tile_size_px or grid.size
        notes.append(
            f"this model's answer depends on the whole tile: results change with the tile size "
            f"(it was trained on {trained} px, tiles are {grid.size} px)"
        )
    elif options.overlap is not None and grid.margin < card.margins_px.get(95, 0):
        notes.append(
            f"margin of {grid.margin} px, the model sees {card.margins_px[95]} px around a pixel "
            "(95 % of its receptive field): seams may show; use a larger --overlap"
        )
    return tuple(notes)


def _allowed_bytes(options: PredictOptions) -> int:
    if options.memory_gb is None:
        return int(SHARE_OF_MEMORY * total_bytes())
    return int(options.memory_gb * 2**30)


def _answers_per_pixel(card: ModelCard, features: Features | None) -> int:
    """Return how many numbers the model gives for each pixel of the scene, rounded up."""
    if features is None:
        return len(card.classes)
    return math.ceil(features.channels / features.stride**2)


def _tile_bytes(size: int, card: ModelCard, answers: int, batch_size: int, dates: int) -> int:
    scores = 3 * answers * BYTES_PER_ANSWER
    pixels = 2 * channels_of(card) * 4
    network = NETWORK_BYTES_PER_CELL // _finest(card) ** 2
    return batch_size * size**2 * (scores + dates * (network + pixels))


def _finest(card: ModelCard) -> int:
    return card.strides[0] if card.strides else FINEST_STRIDE


def _view_bytes(view: CoarseView, card: ModelCard, reader: PixelReader) -> int:
    """What a coarser look reads and averages, and holds of what is more than a tile to see."""
    rows, cols = view.largest
    more = max(0, rows * cols // view.factor**2 - view.grid.size**2)
    network = more * NETWORK_BYTES_PER_CELL // _finest(card) ** 2
    return network + rows * cols * (
        channels_of(card) * 4 + len(card.bands) * reader.dtype.itemsize + 1
    )


def _bytes_per_tile_column(
    reader: PixelReader, grid: TileGrid, card: ModelCard, answers: int, dates: int
) -> int:
    """Bands being read, held and cut; the overlap carried down; strips on their way to the disk."""
    rows = grid.size + min(reader.block_shape[0], grid.size)
    bands = dates * max(len(card.bands), len(card.bands.inputs))
    copies = 4 if any(band.formula for band in card.bands) else 3  # one more of what they are of
    band = copies * rows * (bands * reader.dtype.itemsize + 1)
    carried = grid.overlap * answers * BYTES_PER_ANSWER
    written = 3 * grid.step * answers
    return grid.step * (band + carried + written)


def _swaths(columns: int, fitting: int) -> tuple[range, ...]:
    """Cut tile columns into even swaths; each but the first repeats the column before it."""
    if fitting >= columns:
        return (range(columns),)
    count = math.ceil((columns - 1) / (fitting - 1))
    starts = [round(at * (columns - 1) / count) for at in range(count + 1)]
    ends = [start + 1 for start in starts[1:]]
    return tuple(range(start, end) for start, end in zip(starts, ends, strict=False))


def channels_of(card: ModelCard) -> int:
    """Return the channels of each image that a model reads: its bands, and what a date tells."""
    return len(card.bands) + (0 if card.dates is None else CHANNELS)


def seconds_per_tile(scorer: Scorer, plan: WorkPlan) -> float:
    """Time the model on an empty tile, twice; the first time warms it up."""
    size = plan.grid.size
    images = 1 if scorer.when is None else len(scorer.when)
    channels = images * channels_of(scorer.card)
    pixels = torch.zeros(1, channels, size, size, device=scorer.device)
    with torch.inference_mode():
        for _ in range(2):
            start = time.perf_counter()
            scorer.forward(pixels)
            if scorer.device.type == "cuda":
                torch.cuda.synchronize(scorer.device)
            seconds = time.perf_counter() - start
    return seconds
