"""The labels of the fit area, window by window: what samplers look at before a run."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from geohier.data.labelled import LabelledPixels, inside
from geohier.data.labels import IGNORE_INDEX
from geohier.data.sampling import Field
from geohier.geo.window import Window, intersection

WINDOW_PX = 1024
"""Side of the windows that are read one after the other, whatever the size of a scene."""


class FitLabels:
    """The class indexes of the pixels that chips may show; all others are unlabelled.

    Args:
        scenes: the train scenes.
        fields: the part of each that is fitted on.
    """

    def __init__(self, scenes: Sequence[LabelledPixels], fields: Sequence[Field]) -> None:
        self.scenes = scenes
        self.fields = fields

    def read(self, scene: int, window: Window) -> NDArray[np.uint8]:
        """Return the class index of each pixel of a window inside a scene."""
        parts = self.fields[scene].parts
        usable = inside(window, parts)
        if not usable.any():
            return np.full(usable.shape, IGNORE_INDEX, np.uint8)
        labels = self.scenes[scene].read(window).labels
        return np.where(usable, labels, np.uint8(IGNORE_INDEX))

    def windows(self, scene: int, side: int = WINDOW_PX) -> Iterator[tuple[Window, bool]]:
        """Yield the windows of a scene row by row, each with whether it has any part to fit on."""
        field = self.fields[scene]
        for top in range(0, field.height, side):
            for left in range(0, field.width, side):
                height, width = min(side, field.height - top), min(side, field.width - left)
                window = Window(row_off=top, col_off=left, height=height, width=width)
                yield window, any(intersection(window, part) for part in field.parts)
