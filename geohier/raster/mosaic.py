"""Adjoining or overlapping rasters of one grid, seen as one sparse raster.

Orthophotos are delivered as hundreds of sheets. Read as one raster they have no seams: a tile at a
sheet's edge sees the neighbouring sheet. Where sheets overlap, the first with a valid pixel wins.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self, Unpack

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from geohier.errors import InputError
from geohier.geo.window import Window, intersection
from geohier.raster.access import BlockReadError
from geohier.raster.files import shown
from geohier.raster.grid import offset_on
from geohier.raster.reader import OpenOptions, RasterReader, RasterSource, open_raster
from geohier.raster.salvage import blank, within
from geohier.raster.source import AlphaRule, Pixels, SourceBand, ValidRule
from geohier.raster.validity import alpha_candidate

MAX_OPEN_FILES = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """One raster of a mosaic, and the mosaic's pixels that it covers."""

    source: RasterSource
    window: Window


def open_mosaic(
    paths: Sequence[Path], *, name: str = "mosaic", **options: Unpack[OpenOptions]
) -> "MosaicSource":
    """Open rasters of one grid as one.

    Args:
        paths: the files; earlier ones win where they overlap.
        name: what the mosaic is called in results and messages.
        options: those of `open_raster`, for every file; `max_pixels` is also the mosaic's.

    Raises:
        InputError: a file cannot be opened, or differs from the first in CRS, pixel size,
            alignment, or bands.
    """
    if not paths:
        raise InputError("a mosaic needs at least one raster: none was given")
    sources = []
    for path in paths:
        with open_raster(path, **options) as source:  # closed at once: opened again when read
            sources.append(source)
    geobox, windows = _common_grid(sources)
    for source in sources[1:]:
        _check_bands(source, sources[0])
    height, width = geobox.shape
    max_pixels = options.get("max_pixels")
    if max_pixels is not None and height * width > max_pixels:
        raise InputError(
            f"the mosaic of {len(paths)} rasters spans {height} x {width} px, more than the "
            f"{max_pixels} allowed: raise --max-pixels, or leave the far ones out"
        )
    sheets = [Sheet(source=s, window=w) for s, w in zip(sources, windows, strict=True)]
    return MosaicSource(name, geobox, tuple(sheets))


class MosaicSource:
    """Rasters of one grid as one (a `PixelSource`)."""

    def __init__(self, name: str, geobox: GeoBox, sheets: tuple[Sheet, ...]) -> None:
        self.name = name
        self.files = tuple(file for sheet in sheets for file in sheet.source.files)
        self.sidecars = tuple(file for sheet in sheets for file in sheet.source.sidecars)
        self.geobox = geobox
        self.bands: tuple[SourceBand, ...] = sheets[0].source.bands
        self.sheets = sheets

    @property
    def identity(self) -> tuple[Mapping[str, object], ...]:
        """How the sheets are read, as JSON has it; earlier ones win where they overlap."""
        return tuple(fact for sheet in self.sheets for fact in sheet.source.identity)

    def select(
        self, indexes: Sequence[int], *, valid: ValidRule = "all", alpha: AlphaRule = "auto"
    ) -> "MosaicReader":
        """Return a reader of these bands (counted from 0), in this order."""
        return MosaicReader(self.sheets, self.geobox, tuple(indexes), valid=valid, alpha=alpha)

    def close(self) -> None:
        """Close all files."""
        for sheet in self.sheets:
            sheet.source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class MosaicReader:
    """Reads some bands of a mosaic (a `PixelReader`); files are opened when first read."""

    def __init__(
        self,
        sheets: tuple[Sheet, ...],
        geobox: GeoBox,
        indexes: tuple[int, ...],
        *,
        valid: ValidRule,
        alpha: AlphaRule,
    ) -> None:
        self._sheets = sheets
        self._bounds = np.array([_edges(sheet.window) for sheet in sheets])
        self._indexes = indexes
        self._valid: ValidRule = valid
        self._alpha: AlphaRule = alpha
        self._readers: dict[int, RasterReader] = {}
        self._open: dict[int, None] = {}
        self._layers = 1 if valid == "all" else len(indexes)
        self.geobox = geobox
        first = self._reader(0)
        self.block_shape = first.block_shape
        self.dtype = first.dtype

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """What a user should know about how the sheets are read, one sentence each.

        They are those of the first sheet, and whether others judge alpha otherwise: sheets with a
        band that is tagged so are opened to tell.
        """
        count = f"{len(self._sheets)} rasters are read as one"
        return (count, *self._reader(0).notes, *self._alpha_notes())

    def read(self, window: Window) -> Pixels:
        """Read a window that lies inside the mosaic; where no file lies, pixels are invalid.

        Raises:
            BlockReadError: a block of the window cannot be decoded.
        """
        return self._merge(window, lambda reader, part: (reader.read(part), ()))[0]

    def read_salvaged(self, window: Window) -> tuple[Pixels, tuple[Window, ...]]:
        """Read a window; blocks that cannot be decoded become invalid, and are returned whole.

        Those that an earlier sheet stands in for are left out.
        """
        return self._merge(window, RasterReader.read_salvaged)

    def may_hold_data(self, window: Window) -> bool:
        """Return False where no file lies, or the files there hold nothing."""
        return any(
            self._reader(at).may_hold_data(part.shifted(rows=-sheet.row_off, cols=-sheet.col_off))
            for at, sheet, part in self._parts(window)
        )

    def _merge(
        self,
        window: Window,
        read: Callable[[RasterReader, Window], tuple[Pixels, tuple[Window, ...]]],
    ) -> tuple[Pixels, tuple[Window, ...]]:
        parts = list(self._parts(window))
        if len(parts) == 1 and parts[0][2] == window:
            return self._read_sheet(*parts[0], read)
        merged = blank(window, bands=len(self._indexes), layers=self._layers, dtype=self.dtype)
        damaged: list[Window] = []
        for at, sheet, part in parts:
            place = within(part, window)
            free = ~merged.valid[place].any(axis=0)
            if free.any():
                pixels, failed = self._read_sheet(at, sheet, part, read)
                _put_valid(merged, pixels, place, free)
                damaged += [block for block in failed if _lies_in(block, part, free)]
        return merged, tuple(damaged)

    def _read_sheet(
        self,
        at: int,
        sheet: Window,
        part: Window,
        read: Callable[[RasterReader, Window], tuple[Pixels, tuple[Window, ...]]],
    ) -> tuple[Pixels, tuple[Window, ...]]:
        try:
            pixels, failed = read(
                self._reader(at), part.shifted(rows=-sheet.row_off, cols=-sheet.col_off)
            )
        except BlockReadError as error:
            raise BlockReadError(
                str(error), error.window.shifted(rows=sheet.row_off, cols=sheet.col_off)
            ) from error
        return pixels, tuple(w.shifted(rows=sheet.row_off, cols=sheet.col_off) for w in failed)

    def _parts(self, window: Window) -> Iterator[tuple[int, Window, Window]]:
        """Yield number and window of each sheet that meets a window, and what they share."""
        top, bottom, left, right = self._bounds.T
        meets = (top < window.row_stop) & (bottom > window.row_off)
        meets &= (left < window.col_stop) & (right > window.col_off)
        for at in np.flatnonzero(meets):
            sheet = self._sheets[at].window
            part = intersection(window, sheet)
            assert part is not None
            yield int(at), sheet, part

    def _reader(self, at: int) -> RasterReader:
        """Return the reader of a sheet, closing the file that was read longest ago."""
        self._open.pop(at, None)
        self._open[at] = None
        if len(self._open) > MAX_OPEN_FILES:
            oldest = next(iter(self._open))
            del self._open[oldest]
            self._sheets[oldest].source.close()
        if at not in self._readers:
            source = self._sheets[at].source
            self._readers[at] = source.select(self._indexes, valid=self._valid, alpha=self._alpha)
        return self._readers[at]

    def _alpha_notes(self) -> tuple[str, ...]:
        if self._alpha != "auto":
            return ()
        first = self._uses_alpha(0)
        others = [at for at in range(len(self._sheets)) if self._uses_alpha(at) != first]
        if not others:
            return ()
        name = shown(self._sheets[others[0]].source.files[0].name)
        judge = "judges" if len(others) == 1 else "judge"
        return (
            f"{len(others)} of {len(self._sheets)} rasters {judge} alpha otherwise than the first, "
            f"such as {name}: use --alpha band, or --alpha none",
        )

    def _uses_alpha(self, at: int) -> bool:
        bands = self._sheets[at].source.bands
        tagged = alpha_candidate(bands, self._indexes, self._alpha) is not None
        return tagged and self._reader(at).uses_alpha


def _put_valid(
    merged: Pixels, pixels: Pixels, at: tuple[slice, slice, slice], free: NDArray[np.bool_]
) -> None:
    """Put valid pixels where there are none yet."""
    free = free & pixels.valid.any(axis=0)
    if free.all():
        merged.values[at], merged.valid[at] = pixels.values, pixels.valid
    else:
        np.copyto(merged.values[at], pixels.values, where=free)
        np.copyto(merged.valid[at], pixels.valid, where=free)


def _lies_in(block: Window, part: Window, free: NDArray[np.bool_]) -> bool:
    """Whether pixels of a block are among those of a part that are free `(H, W)`."""
    shared = intersection(block, part)
    return shared is not None and bool(free[within(shared, part)[1:]].any())


def _edges(window: Window) -> tuple[int, int, int, int]:
    return window.row_off, window.row_stop, window.col_off, window.col_stop


def _common_grid(sources: Sequence[RasterSource]) -> tuple[GeoBox, list[Window]]:
    """Return the grid that spans all rasters, and where each lies on it."""
    first = sources[0].geobox
    places = []
    for source in sources:
        row, column = offset_on(first, source.geobox, source.files[0], sources[0].files[0])
        height, width = source.geobox.shape
        places.append(Window(row_off=row, col_off=column, height=height, width=width))
    top, left = min(w.row_off for w in places), min(w.col_off for w in places)
    shape = (
        max(w.row_stop for w in places) - top,
        max(w.col_stop for w in places) - left,
    )
    geobox = GeoBox(shape, first.affine @ Affine.translation(left, top), first.crs)
    return geobox, [window.shifted(rows=-top, cols=-left) for window in places]


def _check_bands(source: RasterSource, first: RasterSource) -> None:
    mine, theirs = _comparable(source), _comparable(first)
    if mine != theirs:
        raise InputError(
            f"{shown(source.files[0])} has bands {_band_list(source)}, but "
            f"{shown(first.files[0])} has {_band_list(first)}: a mosaic needs the same bands"
        )


def _comparable(source: RasterSource) -> list[tuple[object, ...]]:
    return [(band.name, band.dtype, band.scale, band.offset) for band in source.bands]


def _band_list(source: RasterSource) -> str:
    return ", ".join(
        f"{band.name or 'unnamed'} {band.dtype}"
        + (f" x{band.scale:g}{band.offset:+g}" if (band.scale, band.offset) != (1, 0) else "")
        for band in source.bands
    )
