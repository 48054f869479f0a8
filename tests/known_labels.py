"""Labels whose every pixel is known, as samplers see them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geohier.data.fit_labels import FitLabels
from geohier.data.labels import IGNORE_INDEX
from geohier.data.sampling import Field
from geohier.geo.window import Window

type Labels = NDArray[np.uint8]


@dataclass
class Read:
    labels: Labels


class Pixels:
    """Stands for the pixels of a scene; notes the largest window that is read."""

    def __init__(self, labels: Labels) -> None:
        self.labels = labels
        self.largest = 0

    def read(self, window: Window) -> Read:
        self.largest = max(self.largest, window.height * window.width)
        return Read(self.labels[window.slices])


def fit_labels(*scenes: Labels, parts: Sequence[Window] | None = None) -> FitLabels:
    fields = [
        Field(height=len(one), width=len(one[0]), parts=tuple(parts or [window(*one.shape)]))
        for one in scenes
    ]
    pixels: Any = [Pixels(one) for one in scenes]
    return FitLabels(pixels, fields)


def window(height: int, width: int, row: int = 0, col: int = 0) -> Window:
    return Window(row_off=row, col_off=col, height=height, width=width)


def drawn_labels(seed: int, shape: tuple[int, int], chances: Sequence[float]) -> Labels:
    """Return labels of so many classes by their chances; the rest of 1 is unlabelled."""
    rng = np.random.default_rng(seed)
    kinds = [*range(len(chances)), IGNORE_INDEX]
    return rng.choice(kinds, shape, p=[*chances, 1 - sum(chances)]).astype("uint8")
