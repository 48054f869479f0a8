"""Write docs/results.md from docs/results/*.json; whatever was not measured is said to be so."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parents[2] / "docs"

type Json = Mapping[str, Any]


def main() -> None:
    """Render the page."""
    found = {
        path.stem: json.loads(path.read_text(encoding="utf-8"))
        for path in sorted((DOCS / "results").glob("*.json"))
    }
    lines = ["# Results", "", *_scores(found)]
    (DOCS / "results.md").write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return a table; the first column is left-aligned, the others are numbers."""
    rule = [":--", *["--:"] * (len(header) - 1)]
    return [f"| {' | '.join(cells)} |" for cells in (header, rule, *rows)] + [""]


def _scores(found: Mapping[str, Json]) -> Iterator[str]:
    """Describe the training comparisons."""
    comparisons = [one for one in found.values() if "decoders" in one]
    if not comparisons:
        return
    yield from ["## Scores on val", ""]
    for one in comparisons:
        yield from _comparison(one)


def _comparison(one: Json) -> Iterator[str]:
    first = next(iter(one["decoders"].values()))
    at_once = f", on means over {one['downsample']} px a side" if one["downsample"] > 1 else ""
    yield from [f"### {one['config']}", ""]
    yield (
        f"`python tests/bench/compare.py {one['config']}`: {one['encoder']} from scratch{at_once}, "
        "the same loop, chips and number of steps for each decoder. Scores are means over the "
        "seeds (lowest to highest seed), pooled over the pixels of "
        f"{', '.join(one['scenes'])}; the 95 % range is what blocks of {one['block_px']} px drawn "
        f"anew would give (n = {next(iter(first['iou_range_95'].values()))['n']})."
    )
    yield ""
    yield from table(("IoU", "mean", "seeds", "95 % range", "F1"), _score_rows(one))
    yield from table(
        ("run", "mean IoU", "accuracy", "best epoch", "still rising", "steps", "Mpx", "seconds"),
        _run_rows(one),
    )
    for decoder, figures in one["decoders"].items():
        run = figures["runs"][0]
        margins = ", ".join(f"{px} px for {share} %" for share, px in run["margins_px"].items())
        depends = ", depends on the tile" if run["tile_dependent"] else ""
        yield f"- {decoder}: {run['parameters'] / 1e6:.2f} M parameters; margins {margins}{depends}"
    if one["difference"]:
        yield from ["", _difference(one["difference"])]
    yield from ["", "Seconds are of training with judging on", f"{_on(one['machine'])}.", ""]


def _score_rows(one: Json) -> Iterator[Sequence[str]]:
    for decoder, figures in one["decoders"].items():
        for name in (*one["classes"], "macro"):
            iou, f1 = figures["iou"][name], figures["f1"][name]
            spread = f"{_number(iou['low'])} to {_number(iou['high'])}"
            far = figures["iou_range_95"][name]
            reach = f"{_number(far['low'])} to {_number(far['high'])}"
            yield f"{decoder}, {name}", _number(iou["mean"]), spread, reach, _number(f1["mean"])


def _run_rows(one: Json) -> Iterator[Sequence[str]]:
    for decoder, figures in one["decoders"].items():
        for run in figures["runs"]:
            pooled = run["val"]["pooled"]
            yield (
                f"{decoder}, seed {run['seed']}",
                _number(pooled["macro_iou"]),
                _number(pooled["accuracy"]),
                f"{run['best_epoch']} of {run['epochs']}",
                "yes" if run["still_rising"] else "no",
                str(run["steps"]),
                f"{run['megapixels']:.0f}",
                str(run["seconds"]),
            )


def _difference(found: Json) -> str:
    """Say what one decoder gains over the other, and whether it is a difference."""
    parts = []
    for name, one in found["iou"].items():
        if one["value"] is not None:
            sign = "clear of 0" if one["low"] > 0 or one["high"] < 0 else "0 lies inside"
            parts.append(
                f"{name} {one['value']:+.4f} ({one['low']:+.4f} to {one['high']:+.4f}, {sign})"
            )
    seeds = ", ".join(map(str, found["seeds"]))
    return f"IoU of {found['of']} on the same blocks, seeds {seeds}: {'; '.join(parts)}."


def _on(machine: Json) -> str:
    return f"{machine['processor']}, {machine['memory']}, GPU {machine['gpu']}"


def _number(value: float | None) -> str:
    return "absent" if value is None else f"{value:.4f}"


if __name__ == "__main__":
    main()
