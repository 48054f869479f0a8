"""An ablation as a picture: what each variant gains, and what it costs."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from geohier.studies.ablate_plan import Ablation
from geohier.studies.ablate_report import Row
from geohier.training.figures import write_png

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PICTURE = "ablation.png"
LONGEST = 40
ON = {"choose": "on the choose blocks", "val": "on val"}


def draw_ablation(out: Path, ablation: Ablation, rows: Sequence[Row]) -> None:
    """Write `ablation.png`: differences to the baseline, and scores against FLOPs per pixel."""
    from matplotlib.figure import Figure

    height = 2 + 0.32 * max(len(rows), 6)
    figure = Figure(figsize=(12, height), layout="constrained")
    gains, costs = figure.subplots(1, 2, width_ratios=(3, 2))
    _draw_gains(gains, rows[1:], ON[ablation.judge])
    _draw_costs(costs, rows, ON[ablation.judge])
    write_png(figure, out / PICTURE, dpi=100)


def _draw_gains(axes: "Axes", rows: Sequence[Row], on: str) -> None:
    """Draw each seed as a dot, their mean as a tick, and its range as a bar."""
    for at, row in enumerate(rows):
        gain = row.difference
        if gain is None:
            continue
        if gain.low is not None and gain.high is not None:
            axes.plot([gain.low, gain.high], [at, at], color="0.75", linewidth=6, zorder=1)
        axes.plot(list(gain.each.values()), [at] * len(gain.each), "o", color="tab:blue", zorder=2)
        axes.plot([gain.mean], [at], "|", color="black", markersize=16, zorder=3)
    axes.axvline(0, color="0.4", linestyle=":")
    names = [f"{_short(row.variant)}  {at}" for at, row in enumerate(rows, start=1)]
    axes.set_yticks(range(len(rows)), names)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set(xlabel=f"gain in mean IoU {on}: each seed, their mean, its 95 % range")


def _draw_costs(axes: "Axes", rows: Sequence[Row], on: str) -> None:
    """Draw each variant by its number, the baseline by 0."""
    for number, row in enumerate(rows):
        flops = row.figures.get("flops_per_px")
        if row.mean is None or flops is None:
            continue
        cost = flops / 1000
        axes.plot([cost], [row.mean], "o", color="0.4" if number else "tab:orange")
        axes.annotate(str(number), (cost, row.mean), (5, 4), textcoords="offset points", fontsize=8)
    axes.set(xlabel="thousand FLOPs per pixel (0: baseline)", ylabel=f"mean IoU {on}")
    axes.margins(0.15)


def _short(name: str) -> str:
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"
