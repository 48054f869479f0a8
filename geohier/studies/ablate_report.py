"""What came of an ablation, variant by variant: figures, as CSV and as JSON."""

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geohier.config.ablation import BASELINE, Variant
from geohier.config.load import leaves
from geohier.config.search import text_of
from geohier.evaluation.bootstrap import BLOCK_PX, paired_difference
from geohier.evaluation.by_seed import SeedDifference, difference_by_seed
from geohier.raster.durable import write_durably
from geohier.studies.ablate_plan import Ablation, Cell

TABLE = "ablation.csv"
LEVELS = "levels.csv"
DOCUMENT = "ablation.json"

HOW = {
    "score": "mean IoU of the classes, mean over the seeds; of the epoch that is best on the "
    "choose blocks",
    "difference": "variant minus baseline, seed by seed, and the mean of these",
    "range": "95 %, Student's t of the differences of the seeds; a single seed has none",
    "flops_per_px": "floating-point operations for each pixel of the image in prediction; a "
    "multiplication and an addition are two, only convolutions, products of matrices and "
    "attention are counted",
    "seconds_per_step": "of forward and backward pass and update, on the machine that trained; "
    "without the wait for chips, and without judging",
    "still_rising": "runs whose best epoch is of their last tenth",
    "levels": "means over the seeds, on up to 64 chips of the choose blocks: what the mean IoU and "
    "the cross-entropy gain when this level alone is zeroed as it enters the merge; effective rank "
    "of its features; norm of the gradient of a chip's cross-entropy by its features; linear CKA "
    "with the next coarser level",
}
BLOCKS = (
    f"95 %, blocks of {BLOCK_PX} px of val and seeds drawn anew 1000 times, the same for both sides"
)

type Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockRange:
    """Ends of the range that other ground of val would give a difference."""

    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """The figures of one variant.

    Args:
        variant: its name.
        changes: what it changes, by dotted key.
        is_baseline_again: whether it is the config as it is, under another name.
        scores: mean IoU of each seed.
        difference: what it gains over the baseline; None for the baseline, or without scores.
        blocks: range of the difference over blocks of val, if val judges.
        figures: means over the seeds of what it costs and how it went.
        levels: means over the seeds of what each level brings and holds, finest first.
        still_rising: of how many seeds.
        problems: why a seed has no score.
    """

    variant: str
    changes: Mapping[str, object]
    is_baseline_again: bool = False
    scores: Mapping[int, float] = field(default_factory=dict)
    difference: SeedDifference | None = None
    blocks: BlockRange | None = None
    figures: Mapping[str, float | None] = field(default_factory=dict)
    levels: tuple[Mapping[str, float | None], ...] = ()
    still_rising: int = 0
    problems: Mapping[int, str] = field(default_factory=dict)

    @property
    def mean(self) -> float | None:
        """Mean score; None without any."""
        return float(np.mean(list(self.scores.values()))) if self.scores else None


FIGURES = (
    *("parameters", "flops_per_px", "seconds_per_step"),
    *("steps", "megapixels", "epochs", "best_epoch"),
)

LEVEL_FIGURES = ("iou_without", "loss_without", "effective_rank", "channels", "gradient_norm")


def rows_of(
    ablation: Ablation, found: Mapping[Cell, Json], problems: Mapping[Cell, str]
) -> tuple[Row, ...]:
    """Return a row for each variant.

    Args:
        ablation: what is compared.
        found: what came of each cell that is done.
        problems: why others are not.
    """
    first = _scores(ablation.variants[0], found, ablation)
    rows = []
    for variant in ablation.variants:
        scores = _scores(variant, found, ablation)
        compared = variant.name != BASELINE
        cells = [one for cell, one in found.items() if cell.variant == variant]
        rows.append(
            Row(
                variant=variant.name,
                changes=dict(leaves(variant.values)) if variant.values else {},
                is_baseline_again=variant.name in ablation.equal,
                scores=scores,
                difference=difference_by_seed(scores, first) if compared else None,
                blocks=_over_blocks(variant, found, ablation) if compared else None,
                figures={
                    name: _known_mean([one[name] for one in cells]) for name in FIGURES if cells
                },
                levels=_levels([one["hierarchy"] for one in cells if one.get("hierarchy")]),
                still_rising=sum(bool(one["still_rising"]) for one in cells),
                problems={
                    cell.seed: text for cell, text in problems.items() if cell.variant == variant
                },
            )
        )
    return tuple(rows)


def _scores(variant: Variant, found: Mapping[Cell, Json], ablation: Ablation) -> dict[int, float]:
    """Return the score of each seed of a variant."""
    return {
        cell.seed: float(one[ablation.judge]["mean_iou"])
        for cell, one in found.items()
        if cell.variant == variant
    }


def _mean(values: Iterable[float]) -> float:
    """Return the mean; what is a whole number in each cell stays one."""
    mean = float(np.mean([*values]))
    return int(mean) if mean.is_integer() else mean


def _levels(found: Sequence[Json]) -> tuple[dict[str, float | None], ...]:
    """Return the mean figures of each level, of networks of equal levels."""
    count = len(found[0]["levels"]) if found else 0
    return tuple(
        {
            **{
                name: _known_mean([one["levels"][at][name] for one in found])
                for name in LEVEL_FIGURES
            },
            "cka_with_next": _known_mean([one["cka"][at][at + 1] for one in found])
            if at + 1 < count
            else None,
        }
        for at in range(count)
    )


def _known_mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return _mean(known) if known else None


def _over_blocks(
    variant: Variant, found: Mapping[Cell, Json], ablation: Ablation
) -> BlockRange | None:
    """Return the range of a difference over the blocks of val, of seeds that both have."""
    if ablation.judge != "val":
        return None
    sides = [
        {cell.seed: _blocks(one["val"]) for cell, one in found.items() if cell.variant == side}
        for side in (variant, ablation.variants[0])
    ]
    seeds = sorted(sides[0].keys() & sides[1].keys())
    if not seeds:
        return None
    one, other = (np.stack([side[seed] for seed in seeds]) for side in sides)
    mean = paired_difference(one, other)[-1]
    return BlockRange(low=mean.low, high=mean.high)


def _blocks(val: Json) -> NDArray[np.int64]:
    """Return confusion counts `(N, K, K)` of the blocks of all scenes, in their order."""
    return np.concatenate([np.array(counts, np.int64) for counts in val["blocks"].values()])


def write_report(out: Path, ablation: Ablation, rows: Sequence[Row]) -> None:
    """Write `ablation.csv`, `levels.csv` and `ablation.json`."""
    document = json.dumps(to_json(ablation, rows), indent=1, allow_nan=False)
    write_durably(out / DOCUMENT, (document + "\n").encode())
    write_durably(out / TABLE, _table([_line(row, ablation) for row in rows]).encode())
    levels = [
        {"variant": row.variant, "level": at, **level}
        for row in rows
        for at, level in enumerate(row.levels)
    ]
    write_durably(out / LEVELS, _table(levels).encode())


def to_json(ablation: Ablation, rows: Sequence[Row]) -> Json:
    """Return the comparison as plain values, with how each figure is made."""
    how = HOW if ablation.judge == "choose" else HOW | {"blocks": BLOCKS}
    return {
        "config": ablation.config.name,
        "overrides": [one for one in ablation.overrides if not one.startswith("data_root=")],
        "judge": ablation.judge,
        "seeds": list(ablation.seeds),
        "how": how,
        "variants": [asdict(row) | {"mean": row.mean} for row in rows],
    }


def _table(lines: Sequence[Mapping[str, object]]) -> str:
    """Return lines of equal keys as CSV; nothing where there is none."""
    text = io.StringIO()
    if lines:
        table = csv.DictWriter(text, lines[0], lineterminator="\n")
        table.writeheader()
        table.writerows(lines)
    return text.getvalue()


def _line(row: Row, ablation: Ablation) -> dict[str, object]:
    gain, blocks = row.difference, row.blocks
    over = {"blocks_low": blocks and blocks.low, "blocks_high": blocks and blocks.high}
    return {
        "variant": row.variant,
        "changes": text_of(dict(row.changes)),
        f"{ablation.judge}_iou": row.mean,
        "difference": gain and gain.mean,
        "low": gain and gain.low,
        "high": gain and gain.high,
        **(over if ablation.judge == "val" else {}),
        **{f"{ablation.judge}_iou.{seed}": row.scores.get(seed) for seed in ablation.seeds},
        **{name: row.figures.get(name) for name in FIGURES},
        "still_rising": row.still_rising,
        "problem": "; ".join(row.problems.values()),
    }
