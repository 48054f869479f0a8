"""A raster whose classes are told by its bands, and places on it that name them."""

from collections.abc import Sequence
from pathlib import Path

import geopandas
import numpy as np
import shapely
from affine import Affine

PLACE = Affine(10, 0, 500_000, 0, -10, 5_000_000)
SHAPE = (60, 90)
KINDS = ("field", "forest", "water")


def truth() -> np.ndarray:
    """Return three classes in vertical stripes of 30 px."""
    return np.repeat(np.arange(3), 30)[None].repeat(SHAPE[0], axis=0)


def values(seed: int = 0) -> np.ndarray:
    """Return bytes of three bands in which each class has a colour of its own, and noise."""
    colours = np.array([[150, 120, 60], [40, 90, 50], [20, 40, 110]])
    noise = np.random.default_rng(seed).normal(0, 6, (*SHAPE, 3))
    return np.clip(colours[truth()] + noise, 1, 250).round().transpose(2, 0, 1).astype("uint8")


def point(row: int, column: int) -> shapely.Point:
    """Return the centre of a pixel, in pixels."""
    return shapely.Point(column + 0.5, row + 0.5)


def write_places(
    path: Path, shapes: Sequence[shapely.Geometry], crs: str = "EPSG:32631", **columns: object
) -> Path:
    """Write shapes in pixels of `PLACE` (EPSG:32631) as features in a CRS."""
    placed = [shapely.transform(one, lambda xy: np.column_stack(PLACE @ xy.T)) for one in shapes]
    frame = geopandas.GeoDataFrame(columns, geometry=placed, crs="EPSG:32631")
    frame.to_crs(crs).to_file(path)
    return path


def points_of_all(per_class: int = 5, seed: int = 0) -> tuple[list[shapely.Point], list[str]]:
    """Return points in each class, and their classes."""
    rng = np.random.default_rng(seed)
    shapes, kinds = [], []
    for at, kind in enumerate(KINDS):
        for _ in range(per_class):
            shapes.append(point(int(rng.integers(SHAPE[0])), 30 * at + int(rng.integers(30))))
            kinds.append(kind)
    return shapes, kinds
