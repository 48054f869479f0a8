"""Bands of rows: the rolling piece of a raster from which the tiles of one row are cut."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geohier.geo.tiling import Tile, TileGrid, reflected
from geohier.geo.window import Window
from geohier.raster.source import PixelReader, Pixels

READ_AHEAD_BYTES = 256 * 2**20
"""Largest read that is rounded up to whole block rows; taller blocks are left to GDAL's cache."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelBand:
    """Some rows of a raster, in memory, that know their place in it.

    Args:
        pixels: the rows, `(C, H, W)` with their validity.
        row_off: first row, counted from the raster's top.
        col_off: first column, counted from the raster's left side.
        height: rows of the whole raster.
        width: columns of the whole raster.
        all_valid: whether every pixel of every band is valid.
    """

    pixels: Pixels
    row_off: int
    col_off: int
    height: int
    width: int
    all_valid: bool

    def cut(self, window: Window) -> Pixels:
        """Cut a window that may overhang the raster; beyond its edges the raster is mirrored."""
        rows = _Span.of(window.row_off, window.row_stop, self.height)
        cols = _Span.of(window.col_off, window.col_stop, self.width)
        at = (slice(None), rows.held_from(self.row_off), cols.held_from(self.col_off))
        return Pixels(
            values=_mirrored(self.pixels.values[at], rows, cols),
            valid=_mirrored(self.pixels.valid[at], rows, cols),
        )

    def answerable(self, window: Window) -> NDArray[np.bool_]:
        """Return which pixels of a window inside the raster are valid, `(H, W)`."""
        if self.all_valid:
            return np.broadcast_to(np.True_, (window.height, window.width))
        return self.cut(window).valid.any(axis=0)


class BandReader:
    """Reads the band of each tile row, in rising order, and keeps the rows that the next one needs.

    Args:
        reader: chosen bands of a source.
        bands: how many they are.
        grid: the raster's tiles.
        columns: tile columns that are asked for.
        promising: False for a tile that holds no pixel that is wanted; it is not read.
        around: rows above and below each tile, and columns on either side, that are read with it.
    """

    def __init__(
        self,
        reader: PixelReader,
        grid: TileGrid,
        columns: range,
        *,
        bands: int,
        promising: Callable[[Tile], bool],
        around: tuple[int, int] = (0, 0),
    ) -> None:
        self.reader = reader
        self.grid = grid
        self.columns = columns
        self.bands = bands
        self.promising = promising
        self.around_rows, self.around_cols = around
        first, last = grid.tile(0, columns.start).window, grid.tile(0, columns.stop - 1).window
        needed = reflected(
            first.col_off - self.around_cols, last.col_stop + self.around_cols, grid.width
        )
        self.cols = range(min(needed), max(needed) + 1)
        self._held: Pixels | None = None
        self._rows = range(0)

    def read(self, row: int) -> tuple[PixelBand, tuple[Window, ...]]:
        """Return the band of a tile row, and the blocks that it needs but that cannot be read.

        Each is whole, so that it may reach beyond the band, and may be named with other bands too.
        """
        window = self.grid.tile(row, 0).window.grown(rows=self.around_rows)
        needed = reflected(window.row_off, window.row_stop, self.grid.height)
        failures = self._advance(range(min(needed), max(needed) + 1))
        assert self._held is not None
        band = PixelBand(
            pixels=self._held,
            row_off=self._rows.start,
            col_off=self.cols.start,
            height=self.grid.height,
            width=self.grid.width,
            all_valid=_all(self._held.valid),
        )
        return band, failures

    def _advance(self, needed: range) -> tuple[Window, ...]:
        """Drop the rows above `needed`, and read on until it is held."""
        if needed.start >= self._rows.stop or self._held is None:
            self._held, self._rows = None, range(needed.start, needed.start)
        drop = needed.start - self._rows.start
        self._rows = range(needed.start, self._rows.stop)
        if self._held is not None:
            self._held = _rows_from(self._held, drop)
        if needed.stop <= self._rows.stop:
            return ()
        new, failures = self._read_rows(range(self._rows.stop, self._aligned(needed.stop)))
        self._held = new if self._held is None else _stacked(self._held, new)
        self._rows = range(self._rows.start, self._rows.start + self._held.values.shape[1])
        return failures

    def _aligned(self, stop: int) -> int:
        """Return the end of the block row that holds the row before `stop`."""
        block = self.reader.block_shape[0]
        aligned = min(-(-stop // block) * block, self.grid.height)
        row_bytes = len(self.cols) * self.bands * self.reader.dtype.itemsize
        return aligned if (aligned - stop) * row_bytes <= READ_AHEAD_BYTES else stop

    def _read_rows(self, rows: range) -> tuple[Pixels, tuple[Window, ...]]:
        """Read rows, but only the columns between the first and the last promising tile."""
        shape = (self.bands, len(rows), len(self.cols))
        cols = self._promising_columns(rows)
        if not cols:
            return _nothing(shape, self.reader.dtype), ()
        window = Window(row_off=rows.start, col_off=cols.start, height=len(rows), width=len(cols))
        pixels, damaged = self.reader.read_salvaged(window)
        failures = tuple(filter(self._is_needed, damaged))
        if cols == self.cols:
            return pixels, failures
        wide = _nothing(shape, self.reader.dtype, masks=len(pixels.valid))
        at = slice(cols.start - self.cols.start, cols.stop - self.cols.start)
        wide.values[:, :, at] = pixels.values
        wide.valid[:, :, at] = pixels.valid
        return wide, failures

    def _promising_columns(self, rows: range) -> range:
        tiles = self._promising_tiles(rows, self.cols)
        windows = [tile.window.grown(cols=self.around_cols) for tile in tiles]
        spans = [_Span.of(one.col_off, one.col_stop, self.grid.width) for one in windows]
        if not spans:
            return range(0)
        return range(min(span.low for span in spans), max(span.end for span in spans))

    def _is_needed(self, block: Window) -> bool:
        """Whether a promising tile looks at a block: then it is read however the work is cut."""
        rows = range(block.row_off, block.row_stop)
        cols = range(block.col_off, block.col_stop)
        return any(True for _ in self._promising_tiles(rows, cols))

    def _promising_tiles(self, rows: range, cols: range) -> Iterator[Tile]:
        """Yield the tiles of these columns that look at some of these pixels and are not empty."""
        grid = self.grid
        across = _tiles_over(cols, grid, grid.columns, grid.width, self.around_cols)
        for row in _tiles_over(rows, grid, grid.rows, grid.height, self.around_rows):
            for column in range(
                max(across.start, self.columns.start), min(across.stop, self.columns.stop)
            ):
                tile = grid.tile(row, column)
                if self.promising(tile):
                    yield tile


@dataclass(frozen=True, slots=True, kw_only=True)
class _Span:
    """A stretch of an axis that may overhang its ends: `start..stop`, of which `low..end` is there.

    Mirroring what is there by `extra` pixels, and leaving out the first `skip`, gives the stretch;
    of one that begins before the axis does, `places` says which of the pixels stand where.
    """

    low: int
    end: int
    skip: int = 0
    extra: int = 0
    places: tuple[int, ...] | None = None

    @classmethod
    def of(cls, start: int, stop: int, length: int) -> "_Span":
        if start < 0:
            places = reflected(start, stop, length)
            return cls(low=min(places), end=max(places) + 1, places=tuple(places))
        if stop <= length:
            return cls(low=start, end=stop)
        low = min(reflected(start, stop, length))
        return cls(low=low, end=length, skip=start - low, extra=stop - length)

    def held_from(self, origin: int) -> slice:
        """Return what is there as a slice of an array that begins at `origin`."""
        return slice(self.low - origin, self.end - origin)


def _tiles_over(pixels: range, grid: TileGrid, count: int, length: int, around: int = 0) -> range:
    """Return which of the `count` tiles of an axis look at some of its pixels, mirrored or not."""
    first = (pixels.start - around - grid.size) // grid.step + 1
    last = min((pixels.stop - 1 + around) // grid.step, count - 1)
    overhanging = (length - around - grid.size) // grid.step + 1  # the first whose end is mirrored
    for tile in range(max(last + 1, overhanging), count):
        start = tile * grid.step - around
        if _Span.of(start, start + grid.size + 2 * around, length).low < pixels.stop:
            last = tile  # the end of the raster, mirrored, reaches above the tile's own pixels
    return range(max(first, 0), last + 1)


def _mirrored[T: np.generic](there: NDArray[T], rows: _Span, cols: _Span) -> NDArray[T]:
    """Mirror `(C, H, W)` beyond the raster's end; slices are faster than indexing by place."""
    if rows.places is not None:
        there, rows = there[:, _held(rows)], _Span(low=rows.low, end=rows.end)
    if cols.places is not None:
        there, cols = there[:, :, _held(cols)], _Span(low=cols.low, end=cols.end)
    if not rows.extra and not cols.extra:
        return there
    padded = np.pad(there, ((0, 0), (0, rows.extra), (0, cols.extra)), mode="reflect")
    return padded[:, rows.skip :, cols.skip :]


def _held(span: _Span) -> NDArray[np.intp]:
    """Return the places of a stretch, counted from the first pixel of it that is there."""
    return np.array(span.places, np.intp) - span.low


def _all(valid: NDArray[np.bool_]) -> bool:
    """Return whether a mask is true everywhere; a broadcast one is not walked through."""
    return bool(valid.flat[0] if not any(valid.strides) else valid.all())


def _nothing(shape: tuple[int, int, int], dtype: np.dtype[np.generic], masks: int = 1) -> Pixels:
    return Pixels(values=np.zeros(shape, dtype), valid=np.zeros((masks, *shape[1:]), np.bool_))


def _rows_from(pixels: Pixels, row: int) -> Pixels:
    return Pixels(values=pixels.values[:, row:], valid=pixels.valid[:, row:])


def _stacked(above: Pixels, below: Pixels) -> Pixels:
    values = np.concatenate([above.values, below.values], axis=1)
    if _all(above.valid) and _all(below.valid):
        return Pixels(values=values, valid=np.broadcast_to(np.True_, (1, *values.shape[1:])))
    masks = max(len(above.valid), len(below.valid))
    valid = [np.broadcast_to(part.valid, (masks, *part.valid.shape[1:])) for part in (above, below)]
    return Pixels(values=values, valid=np.concatenate(valid, axis=1))
