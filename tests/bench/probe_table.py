"""The part of the results page that comparisons of features fill."""

from collections.abc import Iterator, Mapping
from statistics import mean
from typing import Any

from table import table

type Json = Mapping[str, Any]


def describe(document: Json) -> Iterator[str]:
    """Yield the lines of the results page."""
    found = document["found"]
    seeds = len(found["runs"][0]["iou"]["macro"])
    yield from [f"`{document['command']}`", ""]
    yield (
        f"Mean IoU on {', '.join(found['val'])} of heads that are fitted on so many labelled "
        f"pixels of each class, drawn from {len(found['train'])} train scenes: mean of {seeds} "
        f"seeds (lowest to highest), judged on one pixel of {found['thin'] ** 2}. Raw bands, as "
        "what the networks read, are normalised by each scene's own mean and deviation. "
        f"{found['remark']}"
    )
    yield ""
    counts = sorted({run["points"] for run in found["runs"]})
    rows: dict[str, list[str]] = {}
    for run in found["runs"]:
        values = run["iou"]["macro"]
        cell = f"{mean(values):.3f} ({min(values):.3f} to {max(values):.3f})"
        rows.setdefault(f"{run['features']}, {run['head']}", []).append(cell)
    header = ("features, head", *(f"{count} px a class" for count in counts))
    yield from table(header, ([name, *cells] for name, cells in rows.items()))
    yield "Linear heads on the same pixels, judged on the same blocks, in mean IoU:"
    yield ""
    for gain in found["gains"]:
        one = gain["macro"]
        clear = "clear of 0" if one["low"] > 0 or one["high"] < 0 else "0 lies inside"
        yield (
            f"- {gain['features']} over {gain['over']}, {gain['points']} px a class: "
            f"{one['value']:+.3f} ({one['low']:+.3f} to {one['high']:+.3f}, {clear}; "
            f"{one['n']} blocks of {found['block_px']} px)"
        )
