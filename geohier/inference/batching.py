"""Cut a raster into batches of tiles, decoding every block of it once.

The raster is read in bands of whole block rows (`inference.bands`); the tiles of a row are cut out
of the band in memory. Tiles without a pixel that is wanted never reach the model.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from itertools import batched

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from geohier.geo.tiling import Tile, TileGrid
from geohier.geo.window import Window
from geohier.inference.bands import BandReader, PixelBand
from geohier.raster.aoi import AreaOfInterest
from geohier.raster.source import PixelReader


@dataclass(frozen=True, slots=True, kw_only=True)
class TileBatch:
    """Tiles that go through the model together, in the source's own units.

    Shape:
        - pixels: `(B, C, size, size)`
        - valid: `(B, 1 or C, size, size)`, None where everything is valid
    """

    tiles: tuple[Tile, ...]
    pixels: Tensor
    valid: Tensor | None

    def pinned(self) -> "TileBatch":
        """Return the batch in memory that a GPU copies from while it computes."""
        valid = None if self.valid is None else self.valid.pin_memory()
        return replace(self, pixels=self.pixels.pin_memory(), valid=valid)


@dataclass(frozen=True, slots=True, kw_only=True)
class TileRow:
    """One row of tiles and the pixels that they are cut from.

    Args:
        row: its place in the grid.
        tiles: all tiles of the row that are asked for.
        seen: columns of the tiles that hold a wanted pixel.
        band: pixels of the row.
        wanted: `(H, W)`, for the rows and columns that become final: which pixels get an answer.
        failures: blocks that could not be read and count as nodata, found with this row.
    """

    row: int
    tiles: tuple[Tile, ...]
    seen: frozenset[int]
    band: PixelBand
    wanted: NDArray[np.bool_]
    failures: tuple[Window, ...]

    @property
    def wanted_tiles(self) -> tuple[Tile, ...]:
        """The tiles that the model has to see."""
        return tuple(tile for tile in self.tiles if tile.column in self.seen)

    def batches(self, size: int) -> Generator[TileBatch]:
        """Yield the tiles that the model has to see, `size` at a time."""
        for tiles in batched(self.wanted_tiles, size):
            yield self.batch(tiles, [tile.window for tile in tiles])

    def batch(self, tiles: Sequence[Tile], windows: Sequence[Window]) -> TileBatch:
        """Return the pixels of windows of one shape, for tiles."""
        cuts = [self.band.cut(window) for window in windows]
        pixels = stacked([cut.values for cut in cuts])
        valid = None if self.band.all_valid else stacked([cut.valid for cut in cuts])
        return TileBatch(tiles=tuple(tiles), pixels=pixels, valid=valid)


def stacked(cuts: Sequence[NDArray[np.generic]]) -> Tensor:
    """Stack cuts; a single one is passed on without a copy where it may be written to."""
    one = len(cuts) == 1 and cuts[0].flags.writeable  # PyTorch warns about what is read-only
    return torch.from_numpy(cuts[0][None] if one else np.stack(cuts))


class TileRowReader:
    """Reads the tile rows of a raster, or of a range of its tile columns, in rising order.

    Args:
        reader: chosen bands of a source.
        grid: the raster's tiles.
        columns: tile columns that are asked for.
        bands: how many bands the reader reads.
        area: area of interest; pixels outside get no answer, tiles outside are not read.
        around: rows and columns around each tile that are read with it.
    """

    def __init__(
        self,
        reader: PixelReader,
        grid: TileGrid,
        *,
        columns: range,
        bands: int,
        area: AreaOfInterest | None = None,
        around: tuple[int, int] = (0, 0),
    ) -> None:
        self.reader = reader
        self.grid = grid
        self.columns = columns
        self.area = area
        self._bands = BandReader(
            reader, grid, columns, bands=bands, promising=self.promising, around=around
        )

    def promising(self, tile: Tile) -> bool:
        """Return False where no pixel of a tile can be wanted, without reading it."""
        window = tile.window.clipped(height=self.grid.height, width=self.grid.width)
        return (self.area is None or self.area.touches(window)) and self.reader.may_hold_data(
            window
        )

    def read(self, row: int, final: Window) -> TileRow:
        """Read a tile row.

        Args:
            row: place in the grid, not above the one read before.
            final: the part of the raster that becomes final with this row.
        """
        band, failures = self._bands.read(row)
        tiles = tuple(self.grid.tile(row, column) for column in self.columns)
        seen = (tile.column for tile in tiles if self.promising(tile) and self._any(band, tile))
        return TileRow(
            row=row,
            tiles=tiles,
            seen=frozenset(seen),
            band=band,
            wanted=self._wanted(band, final),
            failures=failures,
        )

    def _any(self, band: PixelBand, tile: Tile) -> bool:
        window = tile.window.clipped(height=self.grid.height, width=self.grid.width)
        return bool(self._wanted(band, window).any())

    def _wanted(self, band: PixelBand, window: Window) -> NDArray[np.bool_]:
        valid = band.answerable(window)
        return valid if self.area is None else valid & self.area.mask(window)
