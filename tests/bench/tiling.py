"""How many labels depend on the cut into tiles, with a trained model on a real scene."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fresh
from table import table

type Json = dict[str, Any]

DEMO = Path(__file__).resolve().parents[2] / "data" / "demo"
SIDE_PX = 2048
OVERLAPS_PX = (64, 0)
"""Overlaps of tiles of 512 px next to the default; multiples of the model's stride are taken."""


def measure(*, quick: bool) -> Json:
    """Return the share of labels that differ from an untiled pass, for each tiling."""
    side = 768 if quick else SIDE_PX
    return {"runs": fresh.call("tiling:run", side=side)}


def describe(found: Json) -> Iterator[str]:
    """Yield the lines of the results page."""
    first = found["runs"][0]
    yield (
        f"The demo's model on {first['height']} x {first['width']} px of its scene, float32: "
        "labels that differ from one pass over the whole."
    )
    yield ""
    rows = [
        (
            f"{one['size']}/{one['overlap']}, margin {one['margin']} px{one['remark']}",
            f"{one['redundancy']:.2f}",
            f"{one['seconds']:.1f}",
            f"{one['differ']:.3%}",
        )
        for one in found["runs"]
    ]
    yield from table(("tile/overlap", "redundancy", "seconds", "labels that differ"), rows)


def run(side: int) -> list[Json]:
    """Predict part of the scene untiled, then tiled; runs in a process of its own."""
    import tempfile

    import numpy as np
    import rasterio
    from rasterio.windows import Window

    from geohier.inference.options import PredictOptions
    from geohier.inference.pipeline import predict_raster
    from geohier.models.directory import load_model

    model = load_model(DEMO / "model")
    image = next((DEMO / "images").glob("*.tif"))
    found = []
    with tempfile.TemporaryDirectory(prefix="geohier-bench-") as folder:
        with rasterio.open(image) as whole:
            height, width = min(side, whole.height), min(side, whole.width)
            part = Path(folder, "part.tif")
            profile = {**whole.profile, "height": height, "width": width}
            with rasterio.open(part, "w", **profile) as target:
                target.write(whole.read(window=Window(0, 0, width, height)))
        stride = model.card.stride
        tilings = [(_up(max(height, width), stride), 0, ": untiled"), (None, None, ": default")]
        tilings += [(_up(512, stride), _up(overlap, stride), "") for overlap in OVERLAPS_PX]
        labels = []
        for size, overlap, remark in tilings:
            options = PredictOptions(size=size, overlap=overlap, precision="fp32")
            done = predict_raster(part, Path(folder, f"{len(labels)}.tif"), model, options=options)
            with rasterio.open(done.run.target) as file:
                labels.append(file.read(1))
            grid = done.plan.grid
            found.append(
                {
                    "remark": remark,
                    "height": height,
                    "width": width,
                    "size": grid.size,
                    "overlap": grid.overlap,
                    "margin": grid.margin,
                    "redundancy": grid.redundancy,
                    "seconds": done.seconds,
                    "differ": float(np.mean(labels[-1] != labels[0])),
                }
            )
    return found


def _up(length: int, stride: int) -> int:
    return -(-length // stride) * stride
