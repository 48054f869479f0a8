"""What a prediction would do, in numbers that a user can judge; it writes nothing."""

import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from geohier.errors import ConfigError
from geohier.geo.gsd import gsd_m
from geohier.geo.levels import LevelLadder
from geohier.geo.tiling import TileGrid
from geohier.inference.batching import TileRowReader
from geohier.inference.job import Job
from geohier.inference.plan import seconds_per_tile
from geohier.raster.grid import crs_name
from geohier.raster.parts import required_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelPreview:
    """One level of the model's pyramid on this scene."""

    stride_px: int
    gsd_m: float
    smallest_object_m: float
    largest_object_m: float | None
    """None for the coarsest level, which has no upper end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What a prediction would do. Bytes and seconds are estimates."""

    scene: str
    height: int
    width: int
    crs: str | None
    gsd_m: float | None
    model_gsd_m: tuple[float, float] | None
    bands: dict[str, str]
    """Band of the model, and the scene's band that it reads."""
    tile_size_px: int
    overlap_px: int
    margin_px: int
    tiles: int
    tile_rows: int
    tile_columns: int
    redundancy: float
    """Tile pixels that the model reads for each pixel of the raster."""
    skipped_share: float
    """Share of the tiles that is known, without reading, to hold nothing wanted."""
    swaths: int
    batch_size: int
    device: str
    precision: str
    memory_bytes: int
    disk_bytes: int
    free_disk_bytes: int | None
    seconds: float
    layers: tuple[str, ...]
    result_height: int
    result_width: int
    result_bands: int
    """Of all layers."""
    levels: tuple[LevelPreview, ...]
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, object]:
        """Return plain values, as JSON has them."""
        return asdict(self)


def preview(job: Job, target: Path | None = None) -> Preview:
    """Describe a job; the model is timed on one empty tile.

    Args:
        job: a prepared prediction.
        target: where it would be written, to tell the free disk space.
    """
    plan, grid, card = job.plan, job.plan.grid, job.predictor.card
    gsd = gsd_m(job.source.geobox)
    skipped = _skipped(job)
    return Preview(
        scene=job.source.name,
        height=grid.height,
        width=grid.width,
        crs=crs_name(job.source.geobox),
        gsd_m=gsd,
        model_gsd_m=card.gsd_m,
        bands=dict(zip(card.bands.names, job.match.found, strict=True)),
        tile_size_px=grid.size,
        overlap_px=grid.overlap,
        margin_px=grid.margin,
        tiles=len(grid),
        tile_rows=grid.rows,
        tile_columns=grid.columns,
        redundancy=grid.redundancy,
        skipped_share=skipped / len(grid),
        swaths=len(plan.swaths),
        batch_size=plan.batch_size,
        device=plan.device,
        precision=plan.precision,
        memory_bytes=plan.memory_bytes,
        disk_bytes=required_bytes(job.geobox, job.layers),
        free_disk_bytes=None if target is None else _free_bytes(target),
        seconds=(len(grid) - skipped) * _seconds_per_tile(job),
        layers=tuple(layer.name for layer in job.layers),
        result_height=job.geobox.height,
        result_width=job.geobox.width,
        result_bands=sum(layer.count for layer in job.layers),
        levels=_levels(card.strides, gsd),
        notes=job.notes,
    )


def _seconds_per_tile(job: Job) -> float:
    with job.scorer() as scorer:
        return seconds_per_tile(scorer, job.plan)


def _skipped(job: Job) -> int:
    grid = job.plan.grid
    rows = TileRowReader(
        job.reader,
        grid,
        columns=range(grid.columns),
        bands=len(job.match.indexes),
        area=job.area,
    )
    return sum(_skipped_in_row(row, grid, rows) for row in range(grid.rows))


def _skipped_in_row(row: int, grid: TileGrid, rows: TileRowReader) -> int:
    first = grid.tile(row, 0)
    whole = replace(first, window=replace(first.window, width=max(grid.width, grid.size)))
    if not rows.promising(whole):  # at once: a huge raster may be almost empty
        return grid.columns
    return sum(not rows.promising(grid.tile(row, column)) for column in range(grid.columns))


def _levels(strides: tuple[int, ...], gsd: float | None) -> tuple[LevelPreview, ...]:
    if not strides or gsd is None:
        return ()
    ladder = LevelLadder(strides=strides)
    sizes = zip(strides, ladder.gsd_m(gsd), ladder.object_sizes_px(), strict=True)
    return tuple(
        LevelPreview(
            stride_px=stride,
            gsd_m=level_gsd,
            smallest_object_m=low * gsd,
            largest_object_m=None if high == float("inf") else high * gsd,
        )
        for stride, level_gsd, (low, high) in sizes
    )


def _free_bytes(target: Path) -> int:
    folder = next((p for p in target.absolute().parents if p.is_dir()), None)
    if folder is None:
        raise ConfigError(f"{target} has no folder that exists")
    return shutil.disk_usage(folder).free
