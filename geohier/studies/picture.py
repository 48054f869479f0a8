"""A picture of a result: image, prediction, truth and errors side by side."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from geohier.errors import ResourceError
from geohier.geo.colours import rgb_of
from geohier.geo.gsd import pixel_size_m
from geohier.raster.files import shown
from geohier.studies.class_raster import common_classes, open_classes
from geohier.studies.legend import UNLABELLED, LabelRules, Legend
from geohier.studies.thumbnail import (
    read_colors,
    sample_classes,
    small_grid,
    small_shape,
)
from geohier.studies.truth import open_truth

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NOTHING = "#ffffff"
"""Colour of what is not predicted or not labelled."""

RIGHT, WRONG, MISSED, FALSE_ALARM = "#e8e8e8", "#d7191c", "#2c7bb6", "#d7191c"
"""Colours of errors: blue and red stay apart under colour blindness."""

PANEL_INCHES = 4.2
DPI = 150


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One part of the picture: colours `(H, W, 3 or 4)`, and what they mean."""

    title: str
    colors: NDArray[np.float64]
    meanings: tuple[tuple[str, str], ...] = ()


def draw_result(
    target: Path,
    prediction: Path,
    *,
    image: Path | None = None,
    truth: Path | None = None,
    rules: LabelRules | None = None,
    title: str = "",
    longest_px: int = 1200,
) -> Path:
    """Draw a class raster, with its image, its truth and its errors where they are given.

    Rasters of any size are reduced while they are read. The picture has north up where rows run
    along the equator, and a scale bar where the raster has a CRS.

    Args:
        target: PNG to write; its folder is made.
        prediction: class raster.
        image: what was predicted.
        truth: label raster or polygons, as `geohier.studies.truth.open_truth` takes them.
        rules: how the truth is to be understood, and the classes where the prediction does not say.
        title: line above the picture.
        longest_px: longer side of each panel's data, in pixels.

    Returns:
        `target`.

    Raises:
        InputError: a file cannot be read.
        LabelError: the truth does not fit.
        ConfigError: the classes are not known.
        ResourceError: the picture cannot be written.
    """
    rules = rules or LabelRules()
    legend = Legend.of(common_classes([prediction], rules.classes), rules.ignore)
    with ExitStack() as stack:
        raster = stack.enter_context(open_classes(prediction))
        full = (raster.grid.height, raster.grid.width)
        shape = small_shape(*full, longest_px)
        grid = small_grid(raster.grid, shape)
        found = sample_classes(raster.read, full, shape)
        panels = [] if image is None else [Panel(title="image", colors=read_colors(image, shape))]
        panels.append(_classes("prediction", found, legend, "not predicted"))
        if truth is not None:
            labels = stack.enter_context(open_truth(truth, raster.grid, legend, rules))
            true = sample_classes(labels.read, full, shape)
            panels.append(_classes("truth", true, legend, "unlabelled"))
            panels.append(_errors(found, true, legend))
    return save_figure(_figure(panels, grid, title), target)


def _classes(title: str, numbers: NDArray[np.int32], legend: Legend, nothing: str) -> Panel:
    colors = np.array([rgb_of(one.color) for one in legend.classes] + [rgb_of(NOTHING)])
    present = [
        (one.color, one.name) for at, one in enumerate(legend.classes) if (numbers == at).any()
    ]
    if (numbers == UNLABELLED).any():
        present.append((NOTHING, nothing))
    return Panel(title=title, colors=colors[numbers], meanings=tuple(present))


def _errors(found: NDArray[np.int32], true: NDArray[np.int32], legend: Legend) -> Panel:
    """Colour what is wrong; of two classes, what was missed and what was too much."""
    known = (found != UNLABELLED) & (true != UNLABELLED)
    colors = np.broadcast_to(rgb_of(NOTHING), (*found.shape, 3)).copy()
    colors[known] = rgb_of(RIGHT)
    meanings = [(RIGHT, "right")]
    if len(legend.classes) == 2:
        name = legend.classes[1].name
        kinds = [
            (MISSED, f"{name} missed", known & (true == 1) & (found == 0)),
            (FALSE_ALARM, f"{name} by mistake", known & (true == 0) & (found == 1)),
        ]
    else:
        kinds = [(WRONG, "wrong", known & (found != true))]
    for color, meaning, where in kinds:
        colors[where] = rgb_of(color)
        meanings.append((color, meaning))
    share = (known & (found != true)).sum() / max(known.sum(), 1)
    return Panel(title=f"errors ({share:.1%})", colors=colors, meanings=tuple(meanings))


def _figure(panels: Sequence[Panel], grid: GeoBox, title: str) -> "Figure":
    from matplotlib.figure import Figure  # no pyplot: it would keep figures and set a backend

    tall = min(max(grid.height / grid.width, 0.25), 3.0)
    size = (PANEL_INCHES * len(panels), PANEL_INCHES * tall + 1.1)
    figure = Figure(figsize=size, layout="constrained", facecolor="white")
    if title:
        figure.suptitle(title, fontsize=11)
    for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        _draw(axes, panel, grid)
    draw_scale(figure.axes[0], grid)
    return figure


def _draw(axes: "Axes", panel: Panel, grid: GeoBox) -> None:
    from matplotlib.patches import Patch

    south_up = grid.transform.e > 0
    axes.imshow(panel.colors, interpolation="nearest", origin="lower" if south_up else "upper")
    axes.set_title(panel.title, fontsize=10)
    axes.set_xticks([])
    axes.set_yticks([])
    if panel.meanings:
        patches = [
            Patch(facecolor=color, edgecolor="#888888", linewidth=0.5, label=label)
            for color, label in panel.meanings
        ]
        axes.legend(
            handles=patches,
            loc="upper center",
            bbox_to_anchor=(0.5, -0.01),
            ncols=min(len(patches), 3),
            frameon=False,
            fontsize=8,
            handlelength=1.2,
        )


def draw_scale(axes: "Axes", grid: GeoBox) -> None:
    """Draw a bar of a round length below the first panel."""
    pixel = pixel_size_m(grid)
    if pixel is None:
        return
    metres = round_length(0.3 * grid.width * pixel[1])
    length = metres / pixel[1] / grid.width  # as a share of the panel's width
    text = f"{metres / 1000:g} km" if metres >= 1000 else f"{metres:g} m"
    axes.plot(
        [0, length],
        [-0.03, -0.03],
        color="black",
        linewidth=2.5,
        solid_capstyle="butt",
        transform=axes.transAxes,
        clip_on=False,
    )
    axes.annotate(
        text,
        (length, -0.03),
        xytext=(5, 0),
        textcoords="offset points",
        xycoords=axes.transAxes,
        va="center",
        fontsize=8,
        annotation_clip=False,
    )


def round_length(longest: float) -> float:
    """Return the largest of 1, 2, 5, 10, 20, 50 and so on that is not above `longest`.

    Example:
        >>> round_length(730.0), round_length(0.45), round_length(2.0)
        (500.0, 0.2, 2.0)
    """
    power = float(10 ** np.floor(np.log10(longest)))
    return max(step * power for step in (1.0, 2.0, 5.0) if step * power <= longest * (1 + 1e-9))


def save_figure(figure: "Figure", target: Path) -> Path:
    """Write a figure as PNG, whose folder is made.

    Raises:
        ResourceError: it cannot be written.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(target, dpi=DPI, format="png", metadata={"Software": None})
    except OSError as error:
        raise ResourceError(f"{shown(target)} cannot be written: {error.strerror}") from error
    return target
