"""Files of one place, seen as one raster with the bands of all; the first file gives the grid.

Files on another grid are resampled to the first one's while they are read.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Self, Unpack

import numpy as np
from odc.geo.geobox import GeoBox
from pyproj import Transformer

from geohier.errors import ConfigError, InputError
from geohier.geo.window import Window
from geohier.raster.files import shown
from geohier.raster.grid import same_grid
from geohier.raster.reader import OpenOptions, RasterReader, RasterSource, open_raster
from geohier.raster.salvage import blank
from geohier.raster.source import AlphaRule, Pixels, SourceBand, ValidRule
from geohier.raster.warped import Resampling, warped_reader


@dataclass(frozen=True, slots=True, kw_only=True)
class StackFile:
    """One file of a stack, and what is to be taken from it.

    Args:
        path: the raster.
        bands: which of its bands, counted from 1 as GDAL does; all where None.
        names: names of the bands taken, in place of the file's own.
        nodata: value that means "no data", in place of the file's own.
        scale: scale of the bands taken, in place of the file's own.
        offset: offset of the bands taken, in place of the file's own.
        resampling: how the file is brought to the grid of the first, where its own differs.
        taken: when, in a stack of dates.
    """

    path: Path
    bands: tuple[int, ...] | None = None
    names: tuple[str, ...] | None = None
    nodata: float | None = None
    scale: float | None = None
    offset: float | None = None
    resampling: Resampling = "bilinear"
    taken: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layer:
    """An open file of a stack: which of its bands it gives, and whether it lies on the grid."""

    file: StackFile
    source: RasterSource
    indexes: tuple[int, ...]
    on_grid: bool

    def bands(self) -> list[SourceBand]:
        return [
            replace(
                self.source.bands[index],
                name=self.file.names[at] if self.file.names else self.source.bands[index].name,
                scale=_stated_or_own(self.file.scale, self.source.bands[index].scale),
                offset=_stated_or_own(self.file.offset, self.source.bands[index].offset),
                taken=self.file.taken,
            )
            for at, index in enumerate(self.indexes)
        ]

    @property
    def identity(self) -> dict[str, object]:
        numbers = [index + 1 for index in self.indexes]
        taken = zip(numbers, self.bands(), strict=True)
        return {
            "raster": list(self.source.identity),
            "taken": [{"number": number, **band.identity} for number, band in taken],
            "resampling": None if self.on_grid else self.file.resampling,
        }


def open_stack(
    files: Sequence[StackFile], *, name: str | None = None, **options: Unpack[OpenOptions]
) -> "StackSource":
    """Open files of one place as one raster.

    Args:
        files: the files; the first gives the grid.
        name: what the stack is called in results and messages; the first file's name where None.
        options: those of `open_raster`, for every file; `band_names` names the stack's bands, and
            a file's own `nodata` is used where the options have none.

    Raises:
        InputError: a file cannot be opened, or does not overlap the first.
        ConfigError: bands or names do not fit the files.
    """
    names = options.pop("band_names", None)
    with ExitStack() as stack:
        layers: list[_Layer] = []
        for file in files:
            source = stack.enter_context(_open_file(file, options))
            grid = layers[0].source.geobox if layers else source.geobox
            layers.append(_layer(file, source, grid))
        bands = tuple(band for layer in layers for band in layer.bands())
        if names is not None:
            bands = _renamed(bands, names)
        stack.pop_all()
    return StackSource(name or layers[0].source.name, tuple(layers), bands)


class StackSource:
    """Files of one place as one raster (a `PixelSource`)."""

    def __init__(
        self, name: str, layers: tuple[_Layer, ...], bands: tuple[SourceBand, ...]
    ) -> None:
        self.name = name
        self.files = tuple(file for layer in layers for file in layer.source.files)
        self.sidecars = tuple(file for layer in layers for file in layer.source.sidecars)
        self.geobox = layers[0].source.geobox
        self.bands = bands
        self.layers = layers

    @property
    def identity(self) -> tuple[Mapping[str, object], ...]:
        """How the files are read, as JSON has it; the first gives the grid."""
        return tuple(layer.identity for layer in self.layers)

    def select(
        self, indexes: Sequence[int], *, valid: ValidRule = "all", alpha: AlphaRule = "auto"
    ) -> "StackReader":
        """Return a reader of these bands (counted from 0), in this order."""
        places = [(layer, index) for layer in self.layers for index in layer.indexes]
        chosen = [places[at] for at in indexes]
        parts = []
        for layer in self.layers:
            positions = [at for at, (owner, _) in enumerate(chosen) if owner is layer]
            if positions:
                bands = [chosen[at][1] for at in positions]
                reader = _reader_of(layer, bands, self.geobox, valid=valid, alpha=alpha)
                parts.append(_Part(positions=tuple(positions), reader=reader))
        notes = [note for layer in self.layers for note in _grid_notes(layer)]
        return StackReader(self.geobox, tuple(parts), tuple(notes), rule=valid)

    def close(self) -> None:
        """Close all files."""
        for layer in self.layers:
            layer.source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """The bands that come from one file, and where they stand among all."""

    positions: tuple[int, ...]
    reader: RasterReader


class StackReader:
    """Reads some bands of a stack (a `PixelReader`)."""

    def __init__(
        self, geobox: GeoBox, parts: tuple[_Part, ...], notes: tuple[str, ...], *, rule: ValidRule
    ) -> None:
        self._parts = parts
        self._rule: ValidRule = rule
        self.geobox = geobox
        self.block_shape = parts[0].reader.block_shape
        self.dtype: np.dtype[np.generic] = np.result_type(*(part.reader.dtype for part in parts))
        self._grid_notes = notes

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know about how these files are read, one sentence each."""
        notes = (note for part in self._parts for note in part.reader.notes)
        return self._grid_notes + tuple(dict.fromkeys(notes))

    def read(self, window: Window) -> Pixels:
        """Read a window that lies inside the raster.

        Raises:
            BlockReadError: a block of the window cannot be decoded in some file.
        """
        return self._join(window, lambda reader: (reader.read(window), ()))[0]

    def read_salvaged(self, window: Window) -> tuple[Pixels, tuple[Window, ...]]:
        """Read a window; blocks that cannot be decoded become invalid, and are returned whole."""
        return self._join(window, lambda reader: reader.read_salvaged(window))

    def may_hold_data(self, window: Window) -> bool:
        """Return False where the files lack what makes a pixel valid."""
        merge = all if self._rule == "all" else any
        return merge(part.reader.may_hold_data(window) for part in self._parts)

    def _join(
        self,
        window: Window,
        read: Callable[[RasterReader], tuple[Pixels, tuple[Window, ...]]],
    ) -> tuple[Pixels, tuple[Window, ...]]:
        bands = sum(len(part.positions) for part in self._parts)
        layers = 1 if self._rule == "all" else bands
        joined = blank(window, bands=bands, layers=layers, dtype=self.dtype)
        joined.valid[...] = True
        damaged: dict[Window, None] = {}
        for part in self._parts:
            pixels, failed = read(part.reader)
            at = list(part.positions)
            joined.values[at] = pixels.values
            joined.valid[[0] if layers == 1 else at] &= pixels.valid
            damaged |= dict.fromkeys(failed)
        return joined, tuple(damaged)


def _open_file(file: StackFile, options: OpenOptions) -> RasterSource:
    mine = options.copy()
    if mine.get("nodata") is None:
        mine["nodata"] = file.nodata
    return open_raster(file.path, **mine)


def _layer(file: StackFile, source: RasterSource, grid: GeoBox) -> _Layer:
    count = len(source.bands)
    numbers = file.bands or tuple(range(1, count + 1))
    if not all(1 <= number <= count for number in numbers):
        raise ConfigError(
            f"{shown(file.path)} has bands 1 to {count}, but {', '.join(map(str, numbers))} "
            "are asked for: correct its bands"
        )
    if file.names and len(file.names) != len(numbers):
        raise ConfigError(
            f"{shown(file.path)}: {len(file.names)} names ({' '.join(file.names)}) for "
            f"{len(numbers)} bands: give one for each"
        )
    on_grid = same_grid(source.geobox, grid)
    if not on_grid:
        _check_overlap(source.geobox, grid, file.path)
    indexes = tuple(number - 1 for number in numbers)
    return _Layer(file=file, source=source, indexes=indexes, on_grid=on_grid)


def _check_overlap(box: GeoBox, grid: GeoBox, path: Path) -> None:
    if box.crs is None or grid.crs is None:
        raise InputError(
            f"{shown(path)} is {box.shape[0]} x {box.shape[1]} px, the first file "
            f"{grid.shape[0]} x {grid.shape[1]}: without georeference they cannot be aligned"
        )
    to_grid = Transformer.from_crs(box.crs.proj, grid.crs.proj, always_xy=True)
    left, bottom, right, top = to_grid.transform_bounds(*box.boundingbox.bbox)
    place = grid.boundingbox
    beside = left <= right and (left > place.right or right < place.left)  # else across 180 degrees
    if beside or bottom > place.top or top < place.bottom:
        raise InputError(f"{shown(path)} does not overlap the first file: check their places")


def _grid_notes(layer: _Layer) -> list[str]:
    if layer.on_grid:
        return []
    return [
        f"{shown(layer.file.path.name)} lies on another grid: resampled to the first file's "
        f"({layer.file.resampling})"
    ]


def _reader_of(
    layer: _Layer, indexes: list[int], grid: GeoBox, *, valid: ValidRule, alpha: AlphaRule
) -> RasterReader:
    if layer.on_grid:
        return layer.source.select(indexes, valid=valid, alpha=alpha)
    return warped_reader(
        layer.source,
        indexes,
        grid,
        resampling=layer.file.resampling,
        valid=valid,
        alpha=alpha,
    )


def _renamed(bands: tuple[SourceBand, ...], names: Sequence[str]) -> tuple[SourceBand, ...]:
    if len(names) != len(bands):
        raise ConfigError(
            f"the scene has {len(bands)} bands, but {len(names)} names were given "
            f"({' '.join(names)}): name each of them once"
        )
    return tuple(replace(band, name=name) for band, name in zip(bands, names, strict=True))


def _stated_or_own(value: float | None, otherwise: float) -> float:
    return otherwise if value is None else value
