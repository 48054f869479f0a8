"""Peak memory: it must not grow with the raster's height, and little with its width."""

import resource
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fresh
from table import table

type Json = dict[str, Any]

CASES = {
    "square": (8192, 8192, 5),
    "high": (32_768, 8192, 5),
    "wide": (2048, 32_768, 5),
    "narrow": (2048, 8192, 5),
    "widest": (2048, 65_536, 15),
}
"""Height, width and classes of each raster. Wide ones have few rows: height costs no memory."""

UNBOUNDED_GB = 1000.0
"""More than any raster here wants: no swaths, so that what width costs is seen."""


def measure(*, quick: bool) -> Json:
    """Return the peak resident memory in MiB of a run over each raster."""
    part = 8 if quick else 1
    return {
        name: {
            "height": height // part,
            "width": width // part,
            "classes": classes,
            "mib": fresh.call(
                "memory:peak_mib",
                environment=fresh.ONE_THREAD,
                height=height // part,
                width=width // part,
                classes=classes,
                memory_gb=None if name == "widest" else UNBOUNDED_GB,
            ),
        }
        for name, (height, width, classes) in CASES.items()
    }


def describe(found: Json) -> Iterator[str]:
    """Yield the lines of the results page."""
    square, high, narrow, wide, widest = (
        found[name]["mib"] for name in ("square", "high", "narrow", "wide", "widest")
    )
    columns = (found["wide"]["width"] - found["narrow"]["width"]) / 1000
    yield (
        "Peak resident memory of a process that maps one raster with the pipeline's stub, PyTorch "
        "and GDAL included; one thread. Wide rasters have few rows: height costs no memory."
    )
    yield ""
    rows = [
        (f"{one['height']} x {one['width']} px, {one['classes']} classes", f"{one['mib']:.0f}")
        for one in found.values()
    ]
    yield from table(("raster, rows x columns", "MiB"), rows)
    yield from table(
        ("memory", "measured", "target"),
        [
            ("four times as high", f"{high / square - 1:+.1%}", "at most +5 %"),
            ("1000 columns more", f"{(wide - narrow) / columns:+.1f} MiB", "at most +20 MiB"),
            ("widest, as it is planned", f"{widest / 1024:.2f} GiB", "under 8 GiB"),
        ],
    )


def peak_mib(height: int, width: int, classes: int, memory_gb: float | None) -> float:
    """Return the peak memory of mapping one raster; runs in a process of its own."""
    import torch
    from models import stub

    from geohier.inference.options import PredictOptions
    from geohier.inference.pipeline import predict_raster

    torch.set_num_threads(1)
    network, card = stub(classes)
    raster = fresh.call("scenes:made", height=height, width=width)  # not in this process
    options = PredictOptions(
        size=512, overlap=64, device="cpu", precision="fp32", memory_gb=memory_gb
    )
    with tempfile.TemporaryDirectory(prefix="geohier-bench-") as folder:
        predict_raster(Path(raster), Path(folder, "out.tif"), network, card=card, options=options)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10  # bytes there, KiB here
