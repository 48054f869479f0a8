"""From finished runs to the figures of docs/results/NAME.json."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from comparisons import Comparison
from machine import describe_machine
from numpy.typing import NDArray

from geohier.config.schema import TrainConfig
from geohier.evaluation.bootstrap import BLOCK_PX, Range, bootstrap, paired_difference
from geohier.models.directory import LoadedModel
from geohier.studies.evaluate import Evaluation
from geohier.training.course import course_of

type Json = dict[str, Any]


def of_run(
    seed: int,
    config: TrainConfig,
    rows: Sequence[Mapping[str, float]],
    model: LoadedModel,
    found: Evaluation,
) -> Json:
    """Return what became of one run: its course, its model, its scores, its blocks."""
    course = course_of(rows, int(model.card.trained_on["best_epoch"]))  # type: ignore[call-overload]
    return {
        "seed": seed,
        "encoder": config.model.encoder,
        "downsample": config.model.downsample,
        "config_sha256": model.card.trained_on["config_sha256"],
        "model_sha256": model.sha256,
        "parameters": sum(one.numel() for one in model.module.parameters()),
        "margins_px": {str(share): px for share, px in model.card.margins_px.items()},
        "tile_dependent": model.card.tile_dependent,
        "epochs": course.epochs,
        "best_epoch": course.best_epoch,
        "still_rising": course.still_rising,
        "steps": course.steps,
        "megapixels": round(course.megapixels, 1),
        "seconds": round(course.seconds),
        "choose_mean_iou": model.card.scores["choose"]["mean_iou"],  # type: ignore[index]
        "machine": describe_machine(),
        "val": found.to_json(),
        "blocks": {name: counts.tolist() for name, counts in found.blocks.items()},
    }


def of_comparison(name: str, compared: Comparison, done: Mapping[str, Sequence[Json]]) -> Json:
    """Return the figures of all finished runs of a comparison, by variant."""
    first = next(iter(done.values()))[0]
    names = [*first["val"]["classes"], "macro"]
    return {
        "command": f"python tests/bench/compare.py {name}",
        "config": compared.config,
        "compared": compared.compared,
        "alike": compared.alike,
        "remark": compared.remark,
        "encoder": first["encoder"],
        "downsample": first["downsample"],
        "classes": first["val"]["classes"],
        "scenes": list(first["blocks"]),
        "block_px": BLOCK_PX,
        "machine": first["machine"],
        "variants": {label: _of_variant(runs, names) for label, runs in done.items()},
        "differences": [
            _difference((one, other), done, names)
            for one, other in compared.pairs
            if _common_seeds(done.get(one, ()), done.get(other, ()))
        ],
    }


def _common_seeds(ours: Sequence[Json], theirs: Sequence[Json]) -> list[int]:
    return sorted({run["seed"] for run in ours} & {run["seed"] for run in theirs})


def _of_variant(runs: Sequence[Json], names: Sequence[str]) -> Json:
    """Return the figures of one variant: each seed, their mean and their spread."""
    blocks = np.stack([_blocks(run) for run in runs])  # (R, N, K, K)
    spread = {
        score: {name: _spread([_pooled(run, score, name) for run in runs]) for name in names}
        for score in ("iou", "f1")
    }
    accuracies = [run["val"]["pooled"]["accuracy"] for run in runs]
    return {
        "runs": [_published(run) for run in runs],
        **spread,
        "accuracy": _spread(accuracies),
        "iou_range_95": _ranges(bootstrap(blocks), names),
    }


def _published(run: Json) -> Json:
    """Return a run without its blocks and its machine, and without notes, which name its files."""
    kept = {key: value for key, value in run.items() if key not in ("blocks", "machine")}
    val = {key: value for key, value in run["val"].items() if key != "notes"}
    return kept | {"val": val}


def _difference(
    pair: tuple[str, str], done: Mapping[str, Sequence[Json]], names: Sequence[str]
) -> Json:
    """Return what the first variant gains over the second, of the seeds that both have."""
    seeds = _common_seeds(done[pair[0]], done[pair[1]])
    one, other = (
        np.stack([_blocks(run) for run in done[label] if run["seed"] in seeds]) for label in pair
    )
    return {
        "of": " - ".join(pair),
        "seeds": seeds,
        "iou": _ranges(paired_difference(one, other), names),
    }


def _blocks(run: Json) -> NDArray[np.int64]:
    """Return confusion counts `(N, K, K)` of the blocks of all scenes, in their order."""
    return np.concatenate([np.array(counts, np.int64) for counts in run["blocks"].values()])


def _pooled(run: Json, score: str, name: str) -> float | None:
    pooled = run["val"]["pooled"]
    found = pooled[f"macro_{score}"] if name == "macro" else pooled["classes"][name][score]
    return None if found is None else float(found)


def _spread(values: Sequence[float | None]) -> Json:
    """Return mean, lowest and highest of what the seeds gave; None where a seed has no score."""
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return {"mean": None, "low": None, "high": None, "seeds": len(values)}
    mean = round(float(np.mean(known)), 6)
    return {"mean": mean, "low": min(known), "high": max(known), "seeds": len(known)}


def _ranges(ranges: Sequence[Range], names: Sequence[str]) -> Json:
    return {
        name: {key: _plain(getattr(one, key)) for key in ("value", "low", "high")} | {"n": one.n}
        for name, one in zip(names, ranges, strict=True)
    }


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else round(value, 6)
