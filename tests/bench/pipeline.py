"""The pipeline alone: processor time with a model that costs next to nothing."""

import statistics
import tempfile
import time
from collections.abc import Iterator
from functools import partialmethod
from pathlib import Path
from typing import Any

import fresh
from table import table

type Json = dict[str, Any]

SIDE_PX, REPEATS, TARGET_NS = 8192, 5, 50


def measure(*, quick: bool) -> Json:
    """Return nanoseconds of processor time per raster pixel, with and without the read-back."""
    side = 2048 if quick else SIDE_PX
    found = {
        name: fresh.call(
            "pipeline:processor_seconds",
            environment=fresh.ONE_THREAD,
            side=side,
            verify=verify,
            repeats=REPEATS,
        )
        for name, verify in (("with read-back", True), ("without read-back", False))
    }
    return {
        "side_px": side,
        "redundancy": found["with read-back"]["redundancy"],
        "ns_per_px": {
            name: [round(seconds * 1e9 / side**2, 2) for seconds in one["seconds"]]
            for name, one in found.items()
        },
    }


def describe(found: Json) -> Iterator[str]:
    """Yield the lines of the results page."""
    side = found["side_px"]
    yield (
        f"Processor time (user and system) of one thread for a raster of {side} x {side} px, 4 "
        "bands, uint8, deflate in blocks of 512 px, at 65 % of its raw size; model: a 1 x 1 "
        "convolution to 5 classes; tiles of 512 px, overlap 64 px (redundancy "
        f"{found['redundancy']:.2f}), labels only. Median of {REPEATS} runs after a small first "
        f"one in the same process. Target: at most {TARGET_NS} ns."
    )
    yield ""
    rows = [
        (name, f"{statistics.median(values):.1f}", f"{min(values):.1f} to {max(values):.1f}")
        for name, values in found["ns_per_px"].items()
    ]
    yield from table(("pipeline", "ns per raster pixel", "all runs"), rows)


def processor_seconds(side: int, repeats: int, *, verify: bool) -> Json:
    """Return the processor time of each run; runs in a process of its own."""
    import torch
    from models import stub
    from scenes import scene

    from geohier.inference.options import PredictOptions
    from geohier.inference.pipeline import predict_raster
    from geohier.raster.store import PartStore

    torch.set_num_threads(1)
    if not verify:
        PartStore.finish = partialmethod(PartStore.finish, verify=False)  # type: ignore[assignment, method-assign]
    network, card = stub()
    options = PredictOptions(size=512, overlap=64, device="cpu", precision="fp32", overwrite=True)
    seconds = []
    with tempfile.TemporaryDirectory(prefix="geohier-bench-") as folder:
        for number, height in enumerate([1024] + repeats * [side]):
            start = time.process_time()
            done = predict_raster(
                scene(height, height),
                Path(folder, f"{number}.tif"),
                network,
                card=card,
                options=options,
            )
            seconds.append(time.process_time() - start)
    return {"seconds": seconds[1:], "redundancy": done.plan.grid.redundancy}
