"""Where chips are cut: at random over the fit area, or on a fixed grid over the choose blocks.

A random place is drawn from (seed, epoch, index) alone, so it depends neither on the order in
which chips are asked for nor on the number of workers. Here all places come up alike;
`samplers.py` prefers some to others. Scenes are drawn by their area or more
evenly; within a scene the chip's centre is uniform over the fit area. A chip may reach beyond the
fit area: there its pixels are blanked and unlabelled, so nothing of a choose block or of its
buffer is ever seen in fitting.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from geohier.geo.window import Window

type SceneWeights = Literal["area", "sqrt_area", "equal"]
"""How often a scene is drawn from."""

EXPONENTS: Mapping[SceneWeights, float] = {"area": 1.0, "sqrt_area": 0.5, "equal": 0.0}
"""A scene is drawn in proportion to its area to the power of this."""

type Sizes = NDArray[np.float64]

CELL_SHARE = 0.75
"""Part of a chip's side that is labelled in a grid; the rest shows the surroundings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """The part of one scene that chips are cut from.

    Args:
        height: rows of the scene.
        width: columns of the scene.
        parts: windows of the scene that do not overlap.
        step: pixels of the scene per chip pixel, down and right.
    """

    height: int
    width: int
    parts: tuple[Window, ...]
    step: tuple[float, float] = (1.0, 1.0)

    @property
    def chip_pixels(self) -> float:
        """Size of the parts in chip pixels."""
        return sum(part.height * part.width for part in self.parts) / math.prod(self.step)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where one chip is cut.

    Args:
        scene: index of the scene.
        window: pixels of the scene that become the chip; may overhang.
        labelled: windows whose labels count.
        surroundings: whether the image outside of them is shown; else it is blank.
    """

    scene: int
    window: Window
    labelled: tuple[Window, ...]
    surroundings: bool


def sample_rng(seed: int, epoch: int, index: int) -> np.random.Generator:
    """Return the generator that draws everything about one sample."""
    return np.random.default_rng([seed, epoch, index])


def scene_factors(sizes: Sizes, weights: SceneWeights) -> Sizes:
    """Return what to multiply scenes of such sizes with so that they come up as the weights say."""
    return np.asarray(np.maximum(sizes, 1) ** (EXPONENTS[weights] - 1))


def index_at(ends: Sizes, share: float) -> int:
    """Return the index that a share from 0 to 1 falls to, by running sums of weights.

    Example:
        >>> [index_at(np.cumsum([0.0, 1.0, 3.0, 0.0]), share) for share in (0.0, 0.3, 1.0)]
        [1, 2, 2]
    """
    at = np.searchsorted(ends, share * ends[-1], side="right")
    return int(min(at, np.searchsorted(ends, ends[-1])))  # rounding may reach the very end


class RandomPlaces:
    """Places of random chips, even over the fields.

    Args:
        fields: one for each scene.
        size_px: side of a chip.
        scale: smallest and largest factor by which objects grow; drawn evenly in its logarithm.
        weights: how often a scene is drawn from.
    """

    def __init__(
        self,
        fields: Sequence[Field],
        size_px: int,
        scale: tuple[float, float] = (1.0, 1.0),
        weights: SceneWeights = "area",
    ) -> None:
        self.fields = tuple(fields)
        self.size_px = size_px
        self.scale = scale
        self._parts = [(at, part) for at, field in enumerate(fields) for part in field.parts]
        share = scene_factors(np.array([field.chip_pixels for field in fields]), weights)
        sizes = [
            share[at] * part.height * part.width / math.prod(fields[at].step)
            for at, part in self._parts
        ]
        self._ends = np.cumsum(sizes)

    def to_cover(self) -> int:
        """Chips that have as many pixels as the fields."""
        pixels = sum(field.chip_pixels for field in self.fields)
        return max(1, math.ceil(pixels / self.size_px**2))

    def point(self, rng: np.random.Generator) -> tuple[int, Window, int, int]:
        """Draw a pixel of the fields: its scene, its part, and its row and column there."""
        scene, part = self._parts[index_at(self._ends, rng.random())]
        row = part.row_off + int(rng.integers(part.height))
        return scene, part, row, part.col_off + int(rng.integers(part.width))

    def set_epoch(self, epoch: int) -> None:
        """Start an epoch; here all epochs are drawn alike."""

    def draw(self, rng: np.random.Generator) -> Place:
        """Draw the place of a chip."""
        scene, _, row, col = self.point(rng)
        return self.around(rng, scene, row, col)

    def around(
        self, rng: np.random.Generator, scene: int, row: int, col: int, spread: float = 0.0
    ) -> Place:
        """Draw a chip of random scale that holds a pixel of a scene.

        Args:
            rng: draws.
            scene: index of the scene.
            row: row of the pixel.
            col: column of the pixel.
            spread: how far the chip's centre may lie from it, as a part of the chip's side.
        """
        field = self.fields[scene]
        zoom = math.exp(rng.uniform(math.log(self.scale[0]), math.log(self.scale[1])))
        sides = tuple(step / zoom for step in field.step)
        if spread:
            off = rng.uniform(-spread, spread, 2) * self.size_px * np.array(sides)
            row, col = row + int(off[0]), col + int(off[1])
        window = _window_around((row, col), sides, field, self.size_px)
        return Place(scene=scene, window=window, labelled=field.parts, surroundings=False)


def _window_around(
    centre: tuple[int, int], step: tuple[float, ...], field: Field, size_px: int
) -> Window:
    height, width = (max(1, round(size_px * one)) for one in step)
    return Window(
        row_off=_held(centre[0] - height // 2, height, field.height),
        col_off=_held(centre[1] - width // 2, width, field.width),
        height=height,
        width=width,
    )


def _held(start: int, length: int, limit: int) -> int:
    """Move a span that would overhang an axis back onto it; too long ones are centred."""
    if length >= limit:
        return (limit - length) // 2
    return min(max(start, 0), limit - length)


def grid_size(fields: Sequence[Field], largest_px: int, multiple_px: int = 32) -> int:
    """Return the smallest side of a chip, a multiple, that holds each part in one cell."""
    sides = [
        max(part.height / field.step[0], part.width / field.step[1])
        for field in fields
        for part in field.parts
    ]
    return min(largest_px, math.ceil(max(sides) / CELL_SHARE / multiple_px) * multiple_px)


def grid_places(fields: Sequence[Field], size_px: int) -> tuple[Place, ...]:
    """Return places that together label each pixel of the fields' parts exactly once.

    Parts larger than CELL_SHARE of a chip are cut into cells; a chip is centred on its cell and
    shows its surroundings, as a tile does in prediction.
    """
    return tuple(
        _around(cell, at, field, size_px)
        for at, field in enumerate(fields)
        for part in field.parts
        for cell in _cells(part, field.step, size_px)
    )


def _cells(part: Window, step: tuple[float, float], size_px: int) -> list[Window]:
    largest = [max(1, int(CELL_SHARE * size_px * one)) for one in step]
    rows = math.ceil(part.height / largest[0])
    cols = math.ceil(part.width / largest[1])
    row_ends = [round(at * part.height / rows) for at in range(rows + 1)]
    col_ends = [round(at * part.width / cols) for at in range(cols + 1)]
    return [
        Window(
            row_off=part.row_off + row_ends[i],
            col_off=part.col_off + col_ends[j],
            height=row_ends[i + 1] - row_ends[i],
            width=col_ends[j + 1] - col_ends[j],
        )
        for i in range(rows)
        for j in range(cols)
    ]


def _around(cell: Window, scene: int, field: Field, size_px: int) -> Place:
    centre = (cell.row_off + cell.height // 2, cell.col_off + cell.width // 2)
    window = _window_around(centre, field.step, field, size_px)
    return Place(scene=scene, window=window, labelled=(cell,), surroundings=True)
