"""The part of the results page that training comparisons fill."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from table import table

MANY = 8
"""More scenes than this are counted, not named."""

type Json = Mapping[str, Any]


def describe(one: Json) -> Iterator[str]:
    """Yield the lines about one comparison."""
    first = next(iter(one["variants"].values()))
    at_once = f", on means over {one['downsample']} px a side" if one["downsample"] > 1 else ""
    yield from [f"`{one['command']}`", ""]
    scratch = "" if one["compared"] == "start" else " from scratch"
    yield (
        f"Scores on val: {one['encoder']}{scratch}{at_once}, "
        f"the same {one['alike']} and number of steps for each {one['compared']}. "
        "Scores are means over the seeds (lowest to highest seed), pooled over the pixels of "
        f"{_scenes(one['scenes'])}; the 95 % range is what blocks of {one['block_px']} px drawn "
        f"anew would give (n = {next(iter(first['iou_range_95'].values()))['n']})."
    )
    yield from ["", *([one["remark"], ""] if one["remark"] else [])]
    yield from table(("IoU", "mean", "seeds", "95 % range", "F1"), _score_rows(one))
    yield from table(
        ("run", "mean IoU", "accuracy", "best epoch", "still rising", "steps", "Mpx", "seconds"),
        _run_rows(one),
    )
    yield from _networks(one)
    yield from (f"\n{_difference(found)}" for found in one["differences"])
    yield from ["", "Seconds are of training, scoring of the choose blocks included."]


def _scenes(names: Sequence[str]) -> str:
    """Name the scenes, or count them where they are many."""
    return ", ".join(names) if len(names) <= MANY else f"{len(names)} scenes"


def _networks(one: Json) -> Iterator[str]:
    """Yield a line for each network that differs from the one before."""
    said = ""
    for label, figures in one["variants"].items():
        run = figures["runs"][0]
        margins = ", ".join(f"{px} px for {share} %" for share, px in run["margins_px"].items())
        depends = ", depends on the tile" if run["tile_dependent"] else ""
        size = f"{run['parameters'] / 1e6:.2f} M parameters"
        if one["compared"] == "decoder" or said != size:
            yield f"- {label}: {size}; margins {margins}{depends}"
        said = size


def _score_rows(one: Json) -> Iterator[Sequence[str]]:
    for label, figures in one["variants"].items():
        for name in (*one["classes"], "macro"):
            iou, f1 = figures["iou"][name], figures["f1"][name]
            spread = f"{_number(iou['low'])} to {_number(iou['high'])}"
            far = figures["iou_range_95"][name]
            reach = f"{_number(far['low'])} to {_number(far['high'])}"
            yield f"{label}, {name}", _number(iou["mean"]), spread, reach, _number(f1["mean"])


def _run_rows(one: Json) -> Iterator[Sequence[str]]:
    for label, figures in one["variants"].items():
        for run in figures["runs"]:
            pooled = run["val"]["pooled"]
            yield (
                f"{label}, seed {run['seed']}",
                _number(pooled["macro_iou"]),
                _number(pooled["accuracy"]),
                f"{run['best_epoch']} of {run['epochs']}",
                "yes" if run["still_rising"] else "no",
                str(run["steps"]),
                f"{run['megapixels']:.0f}",
                str(run["seconds"]),
            )


def _difference(found: Json) -> str:
    """Say what one variant gains over another, and whether it is a difference."""
    parts = []
    for name, one in found["iou"].items():
        if one["value"] is not None:
            sign = "clear of 0" if one["low"] > 0 or one["high"] < 0 else "0 lies inside"
            parts.append(
                f"{name} {one['value']:+.4f} ({one['low']:+.4f} to {one['high']:+.4f}, {sign})"
            )
    seeds = ", ".join(map(str, found["seeds"]))
    return f"IoU of {found['of']} on the same blocks, seeds {seeds}: {'; '.join(parts)}."


def _number(value: float | None) -> str:
    return "absent" if value is None else f"{value:.4f}"
