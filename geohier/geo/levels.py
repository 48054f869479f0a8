"""The level ladder: which scales a pyramid holds, and what size of object each one sees."""

from dataclasses import dataclass
from itertools import pairwise

from geohier.errors import ConfigError

PIXELS_PER_OBJECT = 8
"""Cells of a level that an object should span there: Faster R-CNN's smallest anchor, 32 px at
stride 4 (Lin et al. 2017, Feature Pyramid Networks for Object Detection, section 4.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelLadder:
    """Strides of a feature pyramid, finest first: level 0 is the finest.

    Args:
        strides: pixels of the image per cell of each level, rising.

    Example:
        >>> ladder = LevelLadder(strides=(4, 8, 16, 32))
        >>> ladder.gsd_m(0.5)
        (2.0, 4.0, 8.0, 16.0)
        >>> ladder.level_for(70)
        1
    """

    strides: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.strides or self.strides[0] < 1:
            raise ConfigError(f"a ladder needs strides of 1 or more, found {self.strides}")
        if any(fine >= coarse for fine, coarse in pairwise(self.strides)):
            raise ConfigError(f"strides must rise from fine to coarse, found {self.strides}")

    def __len__(self) -> int:
        return len(self.strides)

    @property
    def coarsest(self) -> int:
        """Largest stride, in pixels of the image."""
        return self.strides[-1]

    def gsd_m(self, image_gsd_m: float) -> tuple[float, ...]:
        """Ground sample distance of each level, in metres."""
        return tuple(stride * image_gsd_m for stride in self.strides)

    def level_for(self, object_px: float) -> int:
        """Coarsest level on which an object of `object_px` image pixels spans enough cells."""
        fitting = [
            level
            for level, stride in enumerate(self.strides)
            if stride * PIXELS_PER_OBJECT <= object_px
        ]
        return fitting[-1] if fitting else 0

    def object_sizes_px(self) -> tuple[tuple[float, float], ...]:
        """Smallest and largest object, in image pixels, that `level_for` gives to each level."""
        starts = [0.0, *(float(stride * PIXELS_PER_OBJECT) for stride in self.strides[1:])]
        return tuple(pairwise([*starts, float("inf")]))
