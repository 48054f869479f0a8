"""The part of the results page that scenes that are left out in turn fill."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import mean
from typing import Any

from table import table

type Json = Mapping[str, Any]


def describe(document: Json) -> Iterator[str]:
    """Yield the lines of the results page."""
    labels = list(document["pooled"])
    of_class = [name for name in document["difference"]["iou"] if name != "macro"][-1]
    yield from [f"`{document['command']}`", ""]
    seeds = ", ".join(map(str, document["seeds"]))
    yield (
        f"IoU of class {of_class} on each scene, by networks that were trained on all others, "
        f"seeds {seeds}: mean (lowest to highest seed). Pooled is over the pixels of all scenes, "
        f"with the 95 % range that blocks of {document['block_px']} px drawn anew, within seeds, "
        f"would give. {_course(document)} {document['remark']}"
    )
    yield ""
    yield from table(("without", *labels), _rows(document, labels, of_class))
    parts = (_difference(name, one) for name, one in document["difference"]["iou"].items())
    yield f"Pooled IoU of {document['difference']['of']} on the same blocks: {'; '.join(parts)}."


def _rows(document: Json, labels: Sequence[str], of_class: str) -> Iterator[Sequence[str]]:
    for scene, scores in document["scenes"].items():
        yield scene, *(_spread(scores[label][of_class]) for label in labels)
    for name in (of_class, "macro"):
        pooled = [document["pooled"][label][name] for label in labels]
        cells = [f"{one['value']:.4f} ({one['low']:.4f} to {one['high']:.4f})" for one in pooled]
        yield f"pooled, {name}", *cells


def _spread(values: Sequence[float]) -> str:
    if len(values) == 1:
        return f"{values[0]:.4f}"
    return f"{mean(values):.4f} ({min(values):.4f} to {max(values):.4f})"


def _course(document: Json) -> str:
    parts = []
    for label, runs in document["runs"].items():
        steps, rising = {run["steps"] for run in runs}, sum(run["still_rising"] for run in runs)
        counts = " or ".join(map(str, sorted(steps)))
        pixels = mean(run["megapixels"] for run in runs)
        parts.append(
            f"{label}: {counts} steps, {pixels:.0f} Mpx, {rising} of {len(runs)} runs still rising"
        )
    return f"{'; '.join(parts)}."


def _difference(name: str, one: Json) -> str:
    sign = "clear of 0" if one["low"] > 0 or one["high"] < 0 else "0 lies inside"
    return f"{name} {one['value']:+.4f} ({one['low']:+.4f} to {one['high']:+.4f}, {sign})"
