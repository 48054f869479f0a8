"""A picture of labelled scenes: image and labels side by side, where there is most to see."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from geohier.config.classes import ClassConfig
from geohier.data.labelled import Cut, LabelledPixels
from geohier.data.labels import IGNORE_INDEX
from geohier.errors import LabelError
from geohier.geo.bands import canonical
from geohier.geo.colours import rgb_bands, rgb_of, stretched
from geohier.geo.gsd import pixel_size_m
from geohier.geo.window import Window
from geohier.inference.target import check_not_read
from geohier.studies.picture import draw_scale, save_figure
from geohier.studies.scene_survey import SceneSurvey

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_SCENES = 6
PANEL_INCHES = 2.6
PALE = 0.45
"""How far the image behind unlabelled ground is faded to white in the panel of labels."""

type Found = tuple[LabelledPixels, SceneSurvey]


def draw_scenes(
    target: Path, found: Sequence[Found], classes: Sequence[ClassConfig], *, title: str = ""
) -> Path:
    """Draw the most telling part of some scenes, each with its labels.

    Scenes are chosen so that both splits and as many classes as possible are seen. Where nothing is
    labelled, the panel of labels shows the image, grey and faded.

    Args:
        target: PNG to write; its folder is made.
        found: scenes, and what was found in each.
        classes: the classes, in the order of their indexes.
        title: line above the picture.

    Raises:
        LabelError: no scene has a label.
        ConfigError: the picture would take the place of an image or a mask.
        RasterReadError: a scene cannot be read.
        ResourceError: the picture cannot be written.
    """
    scenes = [one.scene for one, _ in found]
    read = [path for one in scenes for path in (one.image, one.mask, *one.more)]
    check_not_read([target], read)
    chosen = choose_scenes(found)
    if not chosen:
        raise LabelError(f"no scene has a labelled pixel, so there is nothing to draw: {target}")
    return save_figure(_figure(chosen, classes, title), target)


def choose_scenes(found: Sequence[Found], most: int = MOST_SCENES) -> list[Found]:
    """Return scenes with labels, of both splits in turn, rarest classes first.

    Each next one is the scene in which the classes that were seen least so far are largest.
    """
    left = [one for one in found if one[1].view is not None]
    seen: NDArray[np.float64] | None = None
    chosen: list[Found] = []
    while left and len(chosen) < most:
        splits = [one.scene.split for one, _ in chosen]
        fair = [one for one in left if splits.count(one[0].scene.split) * 3 <= 2 * len(splits)]
        best = max(fair or left, key=lambda one: _new(one[1], seen))
        left.remove(best)
        chosen.append(best)
        seen = _shares(best[1]) + (0 if seen is None else seen)
    return sorted(chosen, key=lambda one: one[0].scene.split)


def _shares(survey: SceneSurvey) -> NDArray[np.float64]:
    return np.asarray(survey.class_px / max(1, survey.labelled))


def _new(survey: SceneSurvey, seen: NDArray[np.float64] | None) -> float:
    shares = np.sqrt(_shares(survey))
    return float((shares / (1 + 10 * (0 if seen is None else seen))).sum())


def _figure(chosen: Sequence[Found], classes: Sequence[ClassConfig], title: str) -> "Figure":
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    across = 1 if len(chosen) == 1 else 2
    rows = -(-len(chosen) // across)
    legend_rows = -(-len(classes) // (3 * across))
    height = rows * (PANEL_INCHES + 0.45) + 0.25 * legend_rows + 0.4
    size = (2 * across * PANEL_INCHES + 0.3, height)
    figure = Figure(figsize=size, layout="constrained", facecolor="white")
    if title:
        figure.suptitle(title, fontsize=11)
    panels = figure.subplots(rows, 2 * across, squeeze=False).ravel()
    for at, (one, survey) in enumerate(chosen):
        assert survey.view is not None
        _draw_pair(panels[2 * at], panels[2 * at + 1], one, survey.view, classes)
    for axes in panels[2 * len(chosen) :]:
        axes.set_axis_off()
    patches = [
        Patch(facecolor=one.color, edgecolor="#888888", linewidth=0.5, label=one.name)
        for one in classes
    ]
    figure.legend(
        handles=[
            *patches,
            Patch(facecolor="white", edgecolor="#888888", label="unlabelled: the image"),
        ],
        loc="outside lower center",
        ncols=min(len(classes) + 1, 3 * across),
        frameon=False,
        fontsize=8,
    )
    return figure


def _draw_pair(
    left: "Axes", right: "Axes", one: LabelledPixels, view: Window, classes: Sequence[ClassConfig]
) -> None:
    cut = one.read(view)
    image = _colors(one, cut)
    grid = one.geobox[view.slices]
    for axes, shown in ((left, image), (right, _label_colors(cut, image, classes))):
        axes.imshow(shown, interpolation="nearest", origin="lower" if _south_up(one) else "upper")
        axes.set_xticks([])
        axes.set_yticks([])
    labelled = (cut.labels != IGNORE_INDEX) & cut.valid
    if labelled.any() and not labelled.all():
        right.contour(labelled, levels=[0.5], colors="black", linewidths=0.4)
    left.set_title(f"{one.scene.id} ({one.scene.split})", fontsize=8, loc="left")
    place = f"{view.height} x {view.width} px at row {view.row_off}, column {view.col_off}"
    right.set_title(place, fontsize=7, loc="left", color="#555555")
    if pixel_size_m(grid) is not None:
        draw_scale(left, grid)


def _south_up(one: LabelledPixels) -> bool:
    return one.geobox.crs is not None and bool(one.geobox.transform.e > 0)


def _colors(one: LabelledPixels, cut: Cut) -> NDArray[np.float64]:
    """Return red, green and blue from 0 to 1, white where nothing is valid."""
    bands = rgb_bands([canonical(band.name or "") for band in one.declared])
    values = cut.values[bands].astype(np.float64)
    colors = np.stack([stretched(band, cut.valid) for band in values], axis=-1)
    colors = np.broadcast_to(colors, (*cut.valid.shape, 3)).copy()
    colors[~cut.valid] = 1.0
    return colors


def _label_colors(
    cut: Cut, image: NDArray[np.float64], classes: Sequence[ClassConfig]
) -> NDArray[np.float64]:
    grey = image.mean(axis=-1, keepdims=True)
    colors = np.broadcast_to(PALE * grey + 1 - PALE, image.shape).copy()
    for index, one in enumerate(classes):
        colors[cut.labels == index] = rgb_of(one.color)
    return colors
