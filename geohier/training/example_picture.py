"""Chips, their labels and what was predicted, side by side in one small PNG."""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from geohier.config.classes import ClassConfig
from geohier.data.labels import IGNORE_INDEX
from geohier.geo.colours import rgb_bands, rgb_of, stretched

MOST_PIXELS = 60_000
"""Pixels of all images together: 300 kB of PNG even where they are nothing but noise."""

LARGEST_PX = 256
GAP_PX = 6
PANELS = ("image", "labels", "prediction")
LINE_PX = 16
NAME_PX = 110

type Colours = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One chip.

    Shape:
        - image: `(C, H, W)`, normalised, 0 in all bands where invalid
        - labels: `(H, W)` class indexes, IGNORE_INDEX where unlabelled
        - found: `(H, W)` class indexes
    """

    image: Tensor
    labels: Tensor
    found: Tensor


class ExamplePicture:
    """Draws examples, a row each, below a legend that is drawn once.

    Args:
        classes: names and colours.
        bands: canonical names of the images' bands.
    """

    def __init__(self, classes: Sequence[ClassConfig], bands: Sequence[str]) -> None:
        self.classes = classes
        self.shown = rgb_bands(list(bands))
        self._legends: dict[int, Colours] = {}

    @cached_property
    def _palette(self) -> Colours:
        """Return the colour of each class, `(K + 1, 3)`: the last is that of unlabelled ground."""
        colors = [rgb_of(one.color) for one in self.classes]
        return (np.array([*colors, (1.0, 1.0, 1.0)]) * 255).round().astype(np.uint8)

    def draw(self, examples: Sequence[Example]) -> bytes:
        """Return a PNG; all chips have one size."""
        from matplotlib.image import imsave  # a second to import

        side = _side(examples)
        rows = [self._row(one, side) for one in examples]
        legend = self._legend(rows[0].shape[1])
        gap = np.full((GAP_PX, legend.shape[1], 3), 255, np.uint8)
        parts = [part for row in rows for part in (row, gap)]
        picture = np.concatenate([legend, *parts])
        png = io.BytesIO()
        about = {"Software": None}  # else the version of matplotlib
        imsave(png, picture, format="png", metadata=about)  # type: ignore[arg-type]
        return png.getvalue()

    def _row(self, one: Example, side: int) -> Colours:
        image = interpolate(one.image[None, self.shown].float(), (side, side), mode="area")[0]
        gap = np.full((side, GAP_PX, 3), 255, np.uint8)
        labels, found = (self._colored(_small(each, side)) for each in (one.labels, one.found))
        return np.concatenate([gap, _colors(image), gap, labels, gap, found, gap], axis=1)

    def _colored(self, classes: NDArray[np.int64]) -> Colours:
        numbers = np.where(classes == IGNORE_INDEX, len(self.classes), classes)
        return np.asarray(self._palette[numbers])

    def _legend(self, width: int) -> Colours:
        if width not in self._legends:
            self._legends[width] = _draw_legend(self.classes, width)
        return self._legends[width]


def _side(examples: Sequence[Example]) -> int:
    """Return the pixels of a panel's side: those of the chip where there is room."""
    room = math.isqrt(MOST_PIXELS // len(examples))
    return min(examples[0].labels.shape[-1], room, LARGEST_PX)


def _small(classes: Tensor, side: int) -> NDArray[np.int64]:
    """Return the class in the middle of each cell."""
    small = interpolate(classes[None, None].float(), (side, side), mode="nearest-exact")
    return small[0, 0].long().numpy()


def _colors(image: Tensor) -> Colours:
    """Return a normalised image `(1 or 3, H, W)` as colours, white where nothing is valid."""
    values = image.double().numpy()
    valid = (values != 0).any(axis=0)
    colors = np.stack([stretched(band, valid) for band in values], axis=-1)
    colors = np.where(valid[..., None], colors, 1.0)
    return (np.broadcast_to(colors, (*valid.shape, 3)) * 255).round().astype(np.uint8)


def _draw_legend(classes: Sequence[ClassConfig], width: int) -> Colours:
    """Return the panels' names, and below them the classes with their colours."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    across = max(1, width // NAME_PX)
    height = LINE_PX * (1 + -(-len(classes) // across))
    figure = Figure(figsize=(width / 100, height / 100), dpi=100, facecolor="white")
    for at, name in enumerate(PANELS):
        figure.text(
            (at + 0.5) / len(PANELS), 1 - 0.5 * LINE_PX / height, name, **_TEXT, ha="center"
        )
    for at, one in enumerate(classes):
        left = (at % across) / across + GAP_PX / width
        middle = 1 - (1.5 + at // across) * LINE_PX / height
        corner = (left, middle - 5 / height)
        figure.add_artist(Rectangle(corner, 10 / width, 10 / height, facecolor=one.color))
        figure.text(left + 14 / width, middle, one.name[:16], **_TEXT)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()  # type: ignore[no-untyped-call]


_TEXT: dict[str, Any] = {"va": "center_baseline", "fontsize": 7}
