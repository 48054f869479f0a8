"""Stand-ins that check how they are called."""

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from geohier.geo.window import Window
from geohier.raster.source import Pixels


class ArrayReader:
    """A PixelReader of an array, which checks how it is called."""

    notes: tuple[str, ...] = ()

    def __init__(
        self,
        values: NDArray[np.generic],
        valid: NDArray[np.bool_] | None = None,
        block_shape: tuple[int, int] = (16, 16),
    ) -> None:
        self.values = values
        self.valid = np.ones((1, *values.shape[1:]), bool) if valid is None else valid
        self.dtype = values.dtype
        self.block_shape = block_shape
        self.geobox = GeoBox(values.shape[1:], Affine(10, 0, 0, 0, -10, 0), "EPSG:32631")
        self.rows_read: list[int] = []

    def read(self, window: Window) -> Pixels:
        height, width = self.values.shape[1:]
        assert window.row_off >= 0
        assert window.col_off >= 0
        assert window.row_stop <= height
        assert window.col_stop <= width
        self.rows_read.extend(range(window.row_off, window.row_stop))
        rows, columns = window.slices
        return Pixels(values=self.values[:, rows, columns], valid=self.valid[:, rows, columns])

    def read_salvaged(self, window: Window) -> tuple[Pixels, tuple[Window, ...]]:
        return self.read(window), ()

    def may_hold_data(self, window: Window) -> bool:
        rows, columns = window.slices
        return bool(self.valid[:, rows, columns].any())
