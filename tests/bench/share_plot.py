"""The picture of scores against the share of labels that was fitted on."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

type Json = Mapping[str, Any]

KINDS = ("labels", "pretraining")
"""Comparisons whose variants are shares of labels, by how their names start."""


def draw_shares(results: Mapping[str, Json], config: str, path: Path) -> None:
    """Draw the mean IoU of every start against the share of labels, with the range of the seeds.

    Args:
        results: documents of docs/results/, by name.
        config: the one whose comparisons are drawn.
        path: PNG to write.
    """
    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.add_subplot(xscale="log", xlabel="share of labels fitted on, %", ylabel="IoU")
    for (start, name), points in sorted(_points(results, config).items()):
        shares, scores = zip(*sorted(points.items()), strict=True)
        means, lows, highs = ([score[key] for score in scores] for key in ("mean", "low", "high"))
        [line] = axes.plot(shares, means, marker="o", label=f"{name}, {start} start")
        axes.fill_between(shares, lows, highs, color=line.get_color(), alpha=0.2, linewidth=0)
    ticks = sorted({share for points in _points(results, config).values() for share in points})
    axes.set_xticks(ticks, [f"{share:g}" for share in ticks])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right upper", frameon=False)
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=120, metadata={"Software": None})


def _points(
    results: Mapping[str, Json], config: str
) -> dict[tuple[str, str], dict[float, Mapping[str, float]]]:
    """Return mean, lowest and highest score of each share, by start and class."""
    found: dict[tuple[str, str], dict[float, Mapping[str, float]]] = {}
    for kind in KINDS:
        for label, figures in results.get(f"{kind}-{config}", {}).get("variants", {}).items():
            start, _, share = label.rpartition(", ")
            for name, scores in figures["iou"].items():
                if scores["mean"] is not None and name != "macro":
                    points = found.setdefault((start or "random", name), {})
                    points[float(share.removesuffix(" %"))] = scores
    return found
