"""Measure what early exits save and change, and write docs/results/exits-NAME.json.

The scenes of val are mapped once with every tile looked at in full, then with exits at several
probabilities. The share of the compute that is saved is by the pixels that the network sees, to
which the arithmetic of convolutions is proportional. That all tiles leave (a probability of 0) is
the control: a coarser look at everything, which any choice of tiles has to beat.

    python tests/bench/exits.py forest --model runs/forest/model --config configs/forest.yaml \\
        --data-root data --exits 4,2 --exits 2
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import exits_table
import numpy as np
import rasterio
import render
from machine import describe_machine

from geohier.cli.prediction_flags import parse_exits
from geohier.config.load import load_config
from geohier.config.schema import TrainConfig
from geohier.inference.exits import COUNTED, IN_FULL, SEEN, EarlyExits
from geohier.inference.options import PredictOptions
from geohier.models.directory import LoadedModel, load_model
from geohier.studies.evaluate import Evaluation
from geohier.studies.evaluate_model import evaluate_model

SURE = (0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.999)

type Json = dict[str, Any]


def measure(
    model: LoadedModel,
    config: TrainConfig,
    factors: Sequence[tuple[int, ...]],
    sure: Sequence[float],
    *,
    share: float = 1.0,
    **options: Any,  # noqa: ANN401 - those of PredictOptions
) -> Json:
    """Return the scores of the maps in full, and of the maps with each choice of exits."""
    with tempfile.TemporaryDirectory(prefix="geohier-bench-") as name:
        folder = Path(name)
        full = _predict(model, config, folder / "full", PredictOptions(**options))
        controls = [EarlyExits(factors=(one,), sure=0) for one in sorted({*sum(factors, ())})]
        chosen = [
            EarlyExits(factors=some, sure=one, share=share) for some in factors for one in sure
        ]
        rows = []
        for at, exits in enumerate([*controls, *chosen]):
            print(f"{exits.factors} sure {exits.sure:g} ...", file=sys.stderr, flush=True)
            out = folder / str(at)
            found = _predict(model, config, out, PredictOptions(**options, exits=exits))
            rows.append(_row(exits, found, out, folder / "full"))
    names = [str(one) for one in full.scores["class"].values]
    return {"classes": names, "scenes": len(full.blocks), "full": _iou(full), "exits": rows}


def _predict(
    model: LoadedModel, config: TrainConfig, out: Path, options: PredictOptions
) -> Evaluation:
    return evaluate_model(model, config, "val", out=out, options=options)


def _row(exits: EarlyExits, found: Evaluation, out: Path, full: Path) -> Json:
    records = [json.loads(path.read_text("utf-8")) for path in sorted(out.glob("*.run.json"))]
    tiles = {
        str(factor): sum(one["counts"].get(f"{COUNTED}{factor}", 0) for one in records)
        for factor in (*exits.factors, 1)
    }
    looks = [(one["counts"][SEEN], one["counts"][IN_FULL]) for one in records]
    return {
        "factors": list(exits.factors),
        "sure": exits.sure,
        "share": exits.share,
        "tiles": tiles,
        "saved": 1 - sum(seen for seen, _ in looks) / sum(in_full for _, in_full in looks),
        "changed": _changed(out, full),
        "iou": _iou(found),
    }


def _changed(out: Path, full: Path) -> float:
    """Return the share of the mapped pixels whose class differs from that of the full look."""
    differ = total = 0
    for path in sorted(full.glob("*.tif")):
        with rasterio.open(path) as one, rasterio.open(out / path.name) as two:
            mapped = one.read(1) != one.nodata
            differ += int((one.read(1) != two.read(1))[mapped].sum())
            total += int(mapped.sum())
    return differ / total


def _iou(found: Evaluation) -> Json:
    names = [*(str(one) for one in found.scores["class"].values), "macro"]
    return {
        name: None if np.isnan(one.value) else one.value
        for name, one in zip(names, found.iou, strict=True)
    }


def read_arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("name", help="of the result: docs/results/exits-NAME.json")
    parser.add_argument("--model", type=Path, required=True, help="model directory")
    parser.add_argument("--config", type=Path, required=True, help="says which scenes judge")
    parser.add_argument("--data-root", required=True, help="folder of the data sets")
    parser.add_argument("--set", action="append", default=[], help="change the config")
    parser.add_argument("--exits", action="append", help="default: 4,2 and 2")
    parser.add_argument("--sure", type=float, action="append", help=f"default: {SURE}")
    parser.add_argument("--share", type=float, default=1.0, help="of a tile's pixels")
    parser.add_argument("--size", type=int, help="side of a tile, px")
    parser.add_argument("--overlap", type=int, help="pixels that tiles share")
    parser.add_argument("--remark", default="", help="what a reader should know of the model")
    return parser.parse_args(words)


def main() -> None:
    """Measure one model and write the results page."""
    given = read_arguments()
    parsed = [parse_exits(one, sure=None, share=None) for one in given.exits or ["4,2", "2"]]
    found = measure(
        load_model(given.model),
        load_config(given.config, [*given.set, f"data_root={given.data_root}"]),
        [one.factors for one in parsed if one is not None],
        given.sure or SURE,
        share=given.share,
        size=given.size,
        overlap=given.overlap,
        force_gsd=True,
    )
    document = {
        "command": exits_table.command(given),
        "remark": given.remark,
        "machine": describe_machine(),
        "found": found,
    }
    render.publish(f"exits-{given.name}", document)


if __name__ == "__main__":
    main()
