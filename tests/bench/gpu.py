"""The job on a GPU, where there is one."""

from collections.abc import Iterator
from typing import Any

import fresh
from table import table

type Json = dict[str, Any]

SIDE_PX = 8192


def measure(*, quick: bool) -> Json:
    """Return raster Mpx/s and the share of time that the GPU computes; nothing without CUDA."""
    return {"run": fresh.call("gpu:run", side=2048 if quick else SIDE_PX)}


def describe(found: Json) -> Iterator[str]:
    """Yield the lines of the results page."""
    one = found["run"]
    if one is None:
        yield "Not measured: there was no CUDA device."
        return
    yield (
        f"FPN of resnet18 with random weights on {one['device']}, {one['precision']}, batches of "
        f"{one['batch_size']}, {one['side_px']} x {one['side_px']} px, 4 bands; second run of the "
        "process. Busy is the time of the device's kernels and copies over the wall time of a "
        "third run, under PyTorch's profiler."
    )
    yield ""
    rate = one["side_px"] ** 2 / one["seconds"] / 1e6
    row = (f"{one['size']}/{one['overlap']}", f"{rate:.1f}", f"{one['redundancy']:.2f}")
    yield from table(
        ("tile/overlap", "raster Mpx/s", "redundancy", "GPU busy"), [(*row, f"{one['busy']:.0%}")]
    )


def run(side: int) -> Json | None:
    """Time the job on the first GPU; runs in a process of its own."""
    import tempfile
    import time
    from pathlib import Path

    import torch
    from models import fpn
    from scenes import scene
    from torch.profiler import ProfilerActivity, profile

    from geohier.inference.options import PredictOptions
    from geohier.inference.pipeline import predict_raster

    if not torch.cuda.is_available():
        return None
    network, card = fpn("resnet18")
    options = PredictOptions(device="cuda", overwrite=True, restart=True)
    with tempfile.TemporaryDirectory(prefix="geohier-bench-") as folder:
        target = Path(folder, "out.tif")
        for _ in range(2):
            done = predict_raster(scene(side, side), target, network, card=card, options=options)
        with profile(activities=[ProfilerActivity.CUDA]) as profiled:
            start = time.perf_counter()
            predict_raster(scene(side, side), target, network, card=card, options=options)
            wall = time.perf_counter() - start
    busy = sum(event.self_device_time_total for event in profiled.key_averages()) / 1e6
    grid = done.plan.grid
    return {
        "device": torch.cuda.get_device_name(),
        "precision": done.plan.precision,
        "batch_size": done.plan.batch_size,
        "side_px": side,
        "size": grid.size,
        "overlap": grid.overlap,
        "redundancy": grid.redundancy,
        "seconds": done.seconds,
        "busy": busy / wall,
    }
