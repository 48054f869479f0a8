"""The hierarchy of a network as a picture: its levels and what they see, on one scale of metres."""

from pathlib import Path
from typing import TYPE_CHECKING

from geohier.studies.picture import save_figure
from geohier.studies.show_model import LevelView, ModelView

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CELL, OBJECTS, FIELD = "tab:orange", "tab:green", "tab:blue"


def draw_ladder(target: Path, view: ModelView) -> Path:
    """Draw the levels with their shapes, and beside them what each sees; return the PNG.

    On the scale are, for each level, a cell, the objects that it sees best, and its receptive
    field where it was measured; below them, the objects of each class where they were counted.

    Args:
        target: PNG to write; its folder is made.
        view: the network.

    Raises:
        ResourceError: the picture cannot be written.
    """
    from matplotlib.figure import Figure

    rows = len(view.levels) + len(view.objects_m)
    figure = Figure(figsize=(11, 1.6 + 0.55 * rows), layout="constrained")
    shapes, scales = figure.subplots(1, 2, width_ratios=(2, 3), sharey=True)
    _draw_shapes(shapes, view)
    _draw_scales(scales, view)
    figure.suptitle(f"{view.name}: {view.encoder}, {view.decoder}, chip of {view.chip_px} px")
    return save_figure(figure, target)


def _draw_shapes(axes: "Axes", view: ModelView) -> None:
    """Draw each level as wide as its cells are many, the finest above."""
    widest = view.levels[0].cells
    for at, level in enumerate(view.levels):
        axes.barh(at, level.cells, left=-level.cells / 2, height=0.7, color="0.85")
        shape = f"{level.channels} x {level.cells} x {level.cells}"
        axes.text(0, at, f"level {at}: {shape}", ha="center", va="center", fontsize=9)
    for at, name in enumerate(view.objects_m, start=len(view.levels)):
        axes.text(0, at, f"objects: {name}", ha="center", va="center", fontsize=9)
    axes.set_xlim(-0.6 * widest, 0.6 * widest)
    axes.set_ylim(len(view.levels) + len(view.objects_m) - 0.4, -0.6)
    axes.set_axis_off()


def _draw_scales(axes: "Axes", view: ModelView) -> None:
    metres = view.gsd_m or 1.0
    for at, level in enumerate(view.levels):
        _draw_level(axes, at, level, metres, labelled=at == 0)
    for at, (low, middle, high) in enumerate(view.objects_m.values(), start=len(view.levels)):
        axes.plot([low, high], [at, at], color="black", linewidth=2)
        axes.plot([middle], [at], "|", color="black", markersize=12)
    axes.set_xscale("log")
    unit = "px of the image" if view.gsd_m is None else "m on the ground"
    median = "; objects of the data: 10th, 50th, 90th percentile" if view.objects_m else ""
    axes.set(xlabel=f"{unit}{median}", yticks=[])
    axes.xaxis.set_major_formatter("{x:g}")
    axes.grid(axis="x", color="0.9")
    axes.legend(
        loc="upper center", bbox_to_anchor=(0.5, 1.0 + 0.5 / (1 + len(view.levels))), ncols=3
    )


def _draw_level(axes: "Axes", at: int, level: LevelView, metres: float, *, labelled: bool) -> None:
    cell = level.stride_px * metres
    low, high = level.object_px
    smallest = max(low, level.stride_px) * metres  # what is smaller than a cell has no width here
    largest = 4 * smallest if high is None else high * metres
    best, sees = ("objects seen best", "receptive field, 95 %") if labelled else (None, None)
    axes.plot([smallest, largest], [at, at], color=OBJECTS, linewidth=7, alpha=0.5, label=best)
    if high is None:
        axes.plot([largest], [at], ">", color=OBJECTS, alpha=0.5, markersize=10)
    axes.plot([cell], [at], "s", color=CELL, label="cell" if labelled else None)
    if level.field_px is not None:
        side = level.field_px * metres
        axes.plot([cell, side], [at + 0.22] * 2, color=FIELD, linewidth=2, label=sees)
