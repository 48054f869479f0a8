"""Blocks of a GeoTIFF that were never written: they read as nodata and cost nothing to skip."""

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import Interleaving

from geohier.geo.window import Window
from geohier.raster.access import Handle
from geohier.raster.source import ValidRule

KEPT_ROWS = 64
"""Rows of blocks whose state is remembered: more than a row of tiles spans."""


class SparseBlocks:
    """Where the absence of blocks means that no pixel is valid.

    Args:
        handle: the raster.
        nodata: value that counts as nodata, by number (from 1) of each band that is read.
        alpha: number of the alpha band.
        rule: whether a pixel needs all bands, or any.
    """

    def __init__(
        self,
        handle: Handle,
        nodata: dict[int, float | None],
        *,
        alpha: int | None,
        rule: ValidRule,
    ) -> None:
        dataset = handle.dataset
        telling = [band for band, value in nodata.items() if _is_fill(dataset, band, value)]
        if rule == "any" and len(telling) < len(nodata):
            telling = []
        if alpha is not None and _fill_value(dataset, alpha) == 0:
            telling, rule = ([*telling, alpha], "all") if rule == "all" else ([alpha], "all")
        # Large single strips are shown as blocks of one row, of which only the first is told of.
        if dataset.driver != "GTiff" or dataset.block_shapes[0][0] == 1:
            telling = []
        if dataset.interleaving == Interleaving.pixel:
            telling = telling[:1]
        self._handle = handle
        self._columns = -(-dataset.width // dataset.block_shapes[0][1])
        self._bands = telling
        self._merge = np.any if rule == "all" else np.all
        self._block_shape: tuple[int, int] = dataset.block_shapes[0]
        self._rows: dict[int, NDArray[np.bool_]] = {}

    def cover(self, window: Window) -> bool:
        """Whether all of a window lies in such blocks."""
        if not self._bands:
            return False
        height, width = self._block_shape
        columns = slice(window.col_off // width, (window.col_stop - 1) // width + 1)
        rows = range(window.row_off // height, (window.row_stop - 1) // height + 1)
        return all(bool(self._absent(row)[columns].all()) for row in rows)

    def _absent(self, row: int) -> NDArray[np.bool_]:
        if row not in self._rows:
            if len(self._rows) > KEPT_ROWS:
                self._rows.clear()
            self._rows[row] = self._merge(
                [self._look_up(band, row) for band in self._bands], axis=0
            )
        return self._rows[row]

    def _look_up(self, band: int, row: int) -> NDArray[np.bool_]:
        names = (f"BLOCK_OFFSET_{column}_{row}" for column in range(self._columns))
        dataset = self._handle.dataset
        offsets = [dataset.get_tag_item(name, "TIFF", bidx=band) for name in names]
        return np.array([offset is None for offset in offsets])


def _is_fill(dataset: rasterio.DatasetReader, band: int, value: float | None) -> bool:
    """Whether a block that was never written reads as this nodata value."""
    fill = _fill_value(dataset, band)
    return bool(np.isnan(fill)) or fill == value


def _fill_value(dataset: rasterio.DatasetReader, band: int) -> float:
    """Return what a block that was never written reads as."""
    declared = dataset.nodatavals[band - 1]
    return 0.0 if declared is None else float(declared)
