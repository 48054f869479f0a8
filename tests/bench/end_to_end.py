"""The whole job with real networks, against the bare network on the same tiles."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

import fresh
from table import table

if TYPE_CHECKING:
    from torch import Tensor

    from geohier.inference.job import Job

type Json = dict[str, Any]
type Decoder = Literal["fpn", "hierarchy"]

SIDE_PX = 8192
NETWORKS: tuple[tuple[Decoder, str], ...] = (
    ("fpn", "resnet18"),
    ("fpn", "mobilenetv2_050"),
    ("hierarchy", "resnet18"),
)
"""Decoders and encoders; a hierarchy is made of its default parts."""
TILINGS = {"default": (None, None), "512/64": (512, 64)}
SAMPLE_TILES = 12
"""Tiles that the bare network sees before, half-way through, and after each run."""


def measure(*, quick: bool, pixels: int | None = None) -> Json:
    """Return seconds and shares of each encoder and tiling, on all processors."""
    side = 1536 if quick else SIDE_PX
    height = side if pixels is None else max(1024, pixels // side)
    return {
        "height": height,
        "width": side,
        "runs": [
            {"decoder": decoder, "encoder": encoder, "tiling": name}
            | fresh.call(
                "end_to_end:run",
                decoder=decoder,
                encoder=encoder,
                tiling=name,
                height=height,
                width=side,
            )
            for decoder, encoder in NETWORKS
            for name in TILINGS
        ],
    }


def describe(found: Json) -> Iterator[str]:
    """Yield the lines of the results page."""
    first = found["runs"][0]
    yield (
        f"Pyramids with random weights on {found['height']} x {found['width']} px, 4 bands, "
        f"{first['threads']} threads, {first['precision']} on {first['device']} (as `auto` "
        "chooses). The share is the time that the bare network takes for the same number of "
        "tiles, over the time of the whole job: reading, blending, writing and reading back "
        f"included. The bare network was timed on {SAMPLE_TILES} of the tiles before, half-way "
        "through and after the job, which waits meanwhile. Target: at least 0.90."
    )
    yield ""
    header = (
        "network, tile/overlap", "raster Mpx/s", "redundancy", "seconds", "bare tiles/s",
        "tiles/s", "share",
    )  # fmt: skip
    rows = [
        (
            f"{_name(one)}, {one['tiling']} ({one['size']}/{one['overlap']})",
            f"{found['height'] * found['width'] / one['seconds'] / 1e6:.2f}",
            f"{one['redundancy']:.2f}",
            f"{one['seconds']:.1f}",
            " ".join(f"{rate:.2f}" for rate in one["bare_tiles_per_s"]),
            f"{one['tiles'] / one['seconds']:.2f}",
            f"{one['share']:.3f}",
        )
        for one in found["runs"]
    ]
    yield from table(header, rows)


def _name(one: Json) -> str:
    decoder = one.get("decoder", "fpn")
    return str(one["encoder"] if decoder == "fpn" else f"{decoder} of {one['encoder']}")


def run(decoder: Decoder, encoder: str, tiling: str, height: int, width: int) -> Json:
    """Time the job and the bare network in turn; runs in a process of its own."""
    import tempfile
    import time
    from pathlib import Path

    import torch
    from models import fpn
    from scenes import scene

    from geohier.data.scene import open_scene
    from geohier.inference.job import prepare
    from geohier.inference.options import PredictOptions
    from geohier.inference.pipeline import run_job
    from geohier.inference.predictor import as_predictor

    size, overlap = TILINGS[tiling]
    network, card = fpn(encoder, decoder=decoder)
    options = PredictOptions(size=size, overlap=overlap)
    with tempfile.TemporaryDirectory() as folder, open_scene(scene(height, width)) as source:
        start = time.perf_counter()
        job = prepare(source, as_predictor(network, card), options)
        seconds = time.perf_counter() - start
        tiles = sample(job)
        bare_seconds(job, tiles[:2])  # the first pass sets everything up
        bare, paused = [bare_seconds(job, tiles)], [0.0]

        def half_way(done: int, total: int) -> None:
            if len(bare) == 1 and 2 * done >= total:
                begun = time.perf_counter()
                bare.append(bare_seconds(job, tiles))
                paused[0] = time.perf_counter() - begun

        start = time.perf_counter()
        run_job(job, Path(folder, "out.tif"), half_way)
        seconds += time.perf_counter() - start - paused[0]
        bare.append(bare_seconds(job, tiles))
    grid = job.plan.grid
    return {
        "size": grid.size,
        "overlap": grid.overlap,
        "redundancy": grid.redundancy,
        "tiles": len(grid),
        "seconds": seconds,
        "bare_tiles_per_s": [len(tiles) / one for one in bare],
        "share": len(grid) * sum(bare) / (3 * len(tiles)) / seconds,
        "device": job.plan.device,
        "precision": job.plan.precision,
        "threads": torch.get_num_threads(),
    }


def sample(job: "Job") -> "list[Tensor]":
    """Return normalised tiles from all over the raster, laid out as the network likes them."""
    import numpy as np
    import torch

    from geohier.inference.batching import TileBatch, TileRowReader
    from geohier.inference.blending import RowBlender
    from geohier.inference.scoring import Scorer

    grid, card = job.plan.grid, job.predictor.card
    scorer = Scorer(job.predictor.module, card, device=torch.device(job.plan.device))
    whole = range(grid.columns)
    blender = RowBlender(grid, job.reduction)
    found = []
    for row in sorted({*np.linspace(0, grid.rows - 1, 4).astype(int).tolist()}):
        reader = TileRowReader(job.reader, grid, columns=whole, bands=len(card.bands))
        batches: list[TileBatch] = list(reader.read(row, blender.strip_window(row)).batches(1))
        picks = {*np.linspace(0, len(batches) - 1, SAMPLE_TILES // 4).astype(int).tolist()}
        found += [scorer.normalised(batches[at]) for at in sorted(picks)]
    return [one.to(memory_format=torch.channels_last) for one in found]


def bare_seconds(job: "Job", tiles: "list[Tensor]") -> float:
    """Return the time of the network alone, in the job's own precision."""
    import time
    from contextlib import nullcontext

    import torch

    bf16 = job.plan.precision == "bf16"
    kind = torch.device(job.plan.device).type
    start = time.perf_counter()
    with (
        torch.inference_mode(),
        torch.autocast(kind, dtype=torch.bfloat16) if bf16 else nullcontext(),
    ):
        for tile in tiles:
            job.predictor.module(tile)
    if kind == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start
