"""One raster file: its grid and bands, and fast windowed reading of pixels with their validity."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import cached_property, partial
from pathlib import Path
from typing import Self, TypedDict

import numpy as np
import rasterio
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio.enums import MaskFlags
from rasterio.windows import Window as RasterioWindow

from geohier.errors import RasterReadError
from geohier.geo.window import Window
from geohier.raster.access import BlockCache, Handle, open_dataset, raster_io
from geohier.raster.checked_vrt import sources_of_vrt
from geohier.raster.describe import FileTraits, band_table, check_size, place_of
from geohier.raster.files import shown
from geohier.raster.salvage import blank, first_lost_row, salvage, salvage_rows, whole_block
from geohier.raster.sample import sample_pixels
from geohier.raster.source import AlphaRule, Pixels, PixelSource, SourceBand, ValidRule
from geohier.raster.sparse import SparseBlocks
from geohier.raster.validity import (
    MANY_ZEROS,
    Validity,
    alpha_candidate,
    looks_like_alpha,
)


class OpenOptions(TypedDict, total=False):
    """The options of `open_raster`."""

    allow_remote: bool
    allow_ungeoreferenced: bool
    nodata: float | None
    band_names: Sequence[str] | None
    max_pixels: int | None


def open_raster(
    path: str | Path,
    *,
    allow_remote: bool = False,
    allow_ungeoreferenced: bool = False,
    nodata: float | None = None,
    band_names: Sequence[str] | None = None,
    max_pixels: int | None = None,
) -> "RasterSource":
    """Open one raster file.

    Args:
        path: GeoTIFF, JPEG 2000, PNG, JPEG, or a VRT of local files of these.
        allow_remote: let `path` be a URL or one of GDAL's `/vsi` paths.
        allow_ungeoreferenced: take a raster that does not say where it lies.
        nodata: value that means "no data" in every band, in place of what the file declares.
        band_names: names of all bands, in place of what the file declares.
        max_pixels: refuse rasters with more pixels.

    Raises:
        InputError: the file cannot be opened, is damaged at its head, or does not say where it
            lies.
        UnsafeInputError: opening it would reach beyond local images.
        ConfigError: `nodata` or `band_names` do not fit the bands.
    """
    handle = Handle(partial(open_dataset, path, allow_remote=allow_remote))
    with ExitStack() as stack:
        stack.callback(handle.release)
        dataset = handle.dataset
        with raster_io(path):
            check_size(path, dataset, max_pixels)
            geobox = place_of(path, dataset, allow_ungeoreferenced=allow_ungeoreferenced)
            bands, notes = band_table(path, dataset, nodata, band_names)
            first = FileTraits.of(path, dataset)
        more = sources_of_vrt(Path(path)) if dataset.driver == "VRT" else ()
        traits = (first, *map(_traits_behind, more))
        BlockCache.reserve(max(file.block_bytes for file in traits))
        stack.pop_all()
    return RasterSource(traits, handle, geobox, bands, notes)


def _traits_behind(path: Path) -> FileTraits:
    """Look at a file behind a VRT, whose own blocks and masks say nothing of it."""
    with open_dataset(path) as dataset, raster_io(path):
        check_size(path, dataset, None)
        return FileTraits.of(path, dataset)


class RasterSource:
    """One open raster file (a `PixelSource`); `traits` has also the files a VRT is made of."""

    def __init__(
        self,
        traits: tuple[FileTraits, ...],
        handle: Handle,
        geobox: GeoBox,
        bands: tuple[SourceBand, ...],
        notes: tuple[str, ...] = (),
    ) -> None:
        self.traits = traits
        self.files: tuple[Path, ...] = tuple(file.path for file in traits)
        self.sidecars: tuple[Path, ...] = tuple(mask for file in traits for mask in file.masks)
        self.name = shown(self.files[0].stem)
        self.geobox = geobox
        self.bands = bands
        self.notes = notes
        self.handle = handle

    @property
    def identity(self) -> tuple[Mapping[str, object], ...]:
        """How the file is read, as JSON has it."""
        bands = [band.identity for band in self.bands]
        first, *behind = (file.declared for file in self.traits)
        return ({**first, "bands": bands, "behind": behind},)

    def select(
        self, indexes: Sequence[int], *, valid: ValidRule = "all", alpha: AlphaRule = "auto"
    ) -> "RasterReader":
        """Return a reader of these bands (counted from 0), in this order."""
        return RasterReader(self, tuple(indexes), valid=valid, alpha=alpha)

    def close(self) -> None:
        """Close the file; a reader that is used afterwards opens it again."""
        self.handle.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class RasterReader:
    """Reads some bands of one raster (a `PixelReader`).

    Fastest are windows over the raster's full width and whole rows of blocks: so each block is
    decoded once.
    """

    def __init__(
        self, source: RasterSource, indexes: tuple[int, ...], *, valid: ValidRule, alpha: AlphaRule
    ) -> None:
        bands = [source.bands[at] for at in indexes]
        self._path = source.files[0]
        self._handle = source.handle
        self._numbers = [at + 1 for at in indexes]
        self._alpha: int | None = None
        self._lost_from: int | None = None
        self.original: RasterReader | None = None
        """The reader on the file's own grid, whose notes count, where this one is resampled."""
        self.geobox = source.geobox
        self.block_shape: tuple[int, int] = source.handle.dataset.block_shapes[indexes[0]]
        self.dtype: np.dtype[np.generic] = np.result_type(*(band.dtype for band in bands))
        self.validity = Validity(
            dtype=self.dtype, nodata=tuple(band.nodata for band in bands), rule=valid
        )
        with raster_io(self._path):
            self._masked = _masked_bands(self._handle.dataset, self._numbers)
            self._from_the_top = _is_decoded_from_the_top(self._handle.dataset)
        self._declared_notes = source.notes
        self._alpha_notes = self._settle_alpha(source, indexes, alpha)
        nodata = {at + 1: source.bands[at].nodata for at in indexes}
        self._sparse = SparseBlocks(source.handle, nodata, alpha=self._alpha, rule=valid)

    @property
    def uses_alpha(self) -> bool:
        """Whether a band that is not read says which pixels are valid."""
        return self._alpha is not None

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """What a user should know about how this raster is read, one sentence each."""
        if self.original is not None:
            return self.original.notes
        return self._declared_notes + self._alpha_notes + self._look_for_zeros()

    def read(self, window: Window) -> Pixels:
        """Read a window that lies inside the raster.

        Raises:
            BlockReadError: a block of the window cannot be decoded.
        """
        values, mask = self._decode(window)
        return Pixels(values=values, valid=self.validity.judge(values, mask))

    def read_salvaged(self, window: Window) -> tuple[Pixels, tuple[Window, ...]]:
        """Read a window; blocks that cannot be decoded become invalid, and are returned whole.

        Of a file that is decoded from its top, all that is lost is one block.
        """
        try:
            return self.read(window), ()
        except RasterReadError:
            bands, layers = len(self._numbers), self.validity.layers
            pixels = blank(window, bands=bands, layers=layers, dtype=self.dtype)
            salvaged = self._salvage_rows if self._from_the_top else self._salvage_blocks
            return pixels, salvaged(pixels, window)

    def _salvage_blocks(self, pixels: Pixels, window: Window) -> tuple[Window, ...]:
        lost = salvage(self.read, pixels, window, self.block_shape)
        height, width = self.geobox.shape
        return tuple(whole_block(part, self.block_shape, (height, width)) for part in lost)

    def _salvage_rows(self, pixels: Pixels, window: Window) -> tuple[Window, ...]:
        height, width = self.geobox.shape
        lost = salvage_rows(self.read, pixels, window)
        if lost is None:
            return ()
        if self._lost_from is None or lost < self._lost_from:
            self._lost_from = first_lost_row(self.read, lost, width)
        below = height - self._lost_from
        return (Window(row_off=self._lost_from, col_off=0, height=below, width=width),)

    def may_hold_data(self, window: Window) -> bool:
        """Return False where the file lacks all blocks, and that means nodata."""
        return not self._sparse.cover(window)

    def _decode(self, window: Window) -> tuple[NDArray[np.generic], NDArray[np.bool_] | None]:
        at = RasterioWindow(window.col_off, window.row_off, window.width, window.height)
        numbers = self._numbers if self._alpha is None else [*self._numbers, self._alpha]
        with raster_io(self._path, window=window):
            dataset = self._handle.dataset
            values = dataset.read(numbers, window=at, out_dtype=self.dtype.name)
            masks = [dataset.read_masks(band, window=at) != 0 for band in self._masked]
        if self._alpha is not None:
            masks.append(values[-1] != 0)
        return values[: len(self._numbers)], np.logical_and.reduce(masks) if masks else None

    def _settle_alpha(
        self, source: RasterSource, indexes: tuple[int, ...], rule: AlphaRule
    ) -> tuple[str, ...]:
        candidate = alpha_candidate(source.bands, indexes, rule)
        if candidate is None:
            return ()
        number = candidate + 1
        if rule == "band" or band_looks_like_alpha(source, candidate):
            self._alpha = number
            return (f"band {number} is used as alpha: where it is 0 there is no data",)
        return (
            f"band {number} is tagged alpha, but holds other values than 0 and its maximum: "
            "not used as a mask (--alpha band to use it)",
        )

    def _look_for_zeros(self) -> tuple[str, ...]:
        if not self.validity.nodata_unknown or self._masked or self._alpha is not None:
            return ()
        empty = (sample_pixels(self, len(self._numbers)).values == 0).all(axis=0)
        zeros = empty.sum() / max(empty.size, 1)
        if zeros <= MANY_ZEROS:
            return ()
        return (
            f"about {zeros:.0%} of the pixels are 0 in all bands and no nodata value is "
            "declared: if 0 means no data, pass --nodata 0",
        )


def band_looks_like_alpha(source: PixelSource, index: int) -> bool:
    """Whether the values of a band (counted from 0), in a few places, are those of alpha."""
    reader = source.select([index], alpha="none")
    return looks_like_alpha(sample_pixels(reader, 1).values)


def _masked_bands(dataset: rasterio.DatasetReader, numbers: list[int]) -> list[int]:
    """Return the bands whose mask bands must be read: one where all share one mask."""
    kinds = {MaskFlags.all_valid, MaskFlags.alpha}
    flags = {band: set(dataset.mask_flag_enums[band - 1]) for band in numbers}
    masked = [b for b, found in flags.items() if not found & kinds and found != {MaskFlags.nodata}]
    shared = all(MaskFlags.per_dataset in flags[band] for band in masked)
    return masked[:1] if shared else masked


def _is_decoded_from_the_top(dataset: rasterio.DatasetReader) -> bool:
    """Whether rows can be read only after those above: one compressed strip, PNG, JPEG."""
    if dataset.block_shapes[0][0] > 1 or dataset.height == 1:
        return False
    second = dataset.get_tag_item("BLOCK_OFFSET_0_1", "TIFF", bidx=1)
    return dataset.driver in ("PNG", "JPEG") or (dataset.driver == "GTiff" and second is None)
