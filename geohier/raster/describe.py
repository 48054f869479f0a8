"""What an open raster declares about itself: size, place on the ground, bands."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import rasterio
from odc.geo.geobox import GeoBox
from rasterio.enums import ColorInterp, Interleaving

from geohier.errors import ConfigError, InputError
from geohier.raster.files import full_name, shown
from geohier.raster.grid import crs_name
from geohier.raster.source import SourceBand
from geohier.raster.validity import holds

MAX_BLOCK_BYTES = 256 * 2**20
"""Largest block that is decoded: a small file may unpack to more than the memory."""

LARGEST_LATITUDE = 91.0
"""Degrees; global grids may reach half a pixel beyond a pole."""

NAMED_COLOURS = {
    ColorInterp.red: "red",
    ColorInterp.green: "green",
    ColorInterp.blue: "blue",
    ColorInterp.nir: "nir",
    ColorInterp.pan: "pan",
    ColorInterp.coastal: "coastal",
}
_COUNTED = re.compile(r"(band|layer)?[ _-]?\d+", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileTraits:
    """What has to be known of a file, besides its bands, before its pixels are read.

    Args:
        path: the file.
        block_bytes: bytes that its largest block unpacks to.
        masks: mask files beside it.
        declared: what decides its mask bands, in itself or in an `.aux.xml`, as JSON has it.
    """

    path: Path
    block_bytes: int
    masks: tuple[Path, ...]
    declared: Mapping[str, object]

    @classmethod
    def of(cls, path: str | Path, dataset: rasterio.DatasetReader) -> Self:
        """Look at an open raster; none of its pixels is decoded."""
        declared = {
            "file": full_name(path),
            "nodata": [str(value) for value in dataset.nodatavals],
            "nodata_values": dataset.tags().get("NODATA_VALUES"),
        }
        masks = tuple(Path(name) for name in dataset.files if name.endswith(".msk"))
        return cls(
            path=Path(path), block_bytes=block_bytes(dataset), masks=masks, declared=declared
        )


def block_bytes(dataset: rasterio.DatasetReader) -> int:
    """Return the bytes that the largest block unpacks to, with all bands that it holds."""
    sizes = [
        height * width * np.dtype(dtype).itemsize
        for (height, width), dtype in zip(dataset.block_shapes, dataset.dtypes, strict=True)
    ]
    return sum(sizes) if dataset.interleaving == Interleaving.pixel else max(sizes)


def check_size(path: str | Path, dataset: rasterio.DatasetReader, max_pixels: int | None) -> None:
    """Refuse rasters that cannot be read in pieces, or that are larger than the user allows."""
    name = shown(path)
    complex_bands = [dtype for dtype in dataset.dtypes if dtype.startswith("complex")]
    if not dataset.count or complex_bands:
        raise InputError(f"{name} has no bands of real numbers: take magnitude and phase apart")
    if block_bytes(dataset) > MAX_BLOCK_BYTES:
        height, width = dataset.block_shapes[0]
        raise InputError(
            f"{name}: its blocks of {height} x {width} px unpack to {block_bytes(dataset) >> 20} "
            f"MiB, more than {MAX_BLOCK_BYTES >> 20}: rewrite it with gdal_translate -of COG"
        )
    pixels = dataset.height * dataset.width
    if max_pixels is not None and pixels > max_pixels:
        raise InputError(
            f"{name} has {dataset.height} x {dataset.width} = {pixels} px, "
            f"more than the {max_pixels} allowed: raise --max-pixels"
        )


def place_of(
    path: str | Path, dataset: rasterio.DatasetReader, *, allow_ungeoreferenced: bool
) -> GeoBox:
    """Return the raster's grid.

    Raises:
        InputError: it has no CRS or no geotransform, and that is not allowed; or they cannot be
            right.
    """
    placed = dataset.crs is not None and not dataset.transform.is_identity
    if not placed and not allow_ungeoreferenced:
        points = bool(dataset.gcps[0])
        raise InputError(
            f"{shown(path)} is placed by ground control points only: warp it first (gdalwarp)"
            if points
            else f"{shown(path)} does not say where it lies (no CRS or no geotransform): add them "
            "(gdal_edit), or pass --allow-ungeoreferenced to predict and embed, which work in "
            "pixels then"
        )
    if not np.isfinite(dataset.transform[:6]).all():
        raise InputError(f"{shown(path)} lies at no place (NaN): mend its geotransform")
    if dataset.transform.is_degenerate:
        raise InputError(f"{shown(path)} has pixels without an area: mend its geotransform")
    box = GeoBox(dataset.shape, dataset.transform, dataset.crs if placed else None)
    _check_coordinates(path, box)
    return box


def _check_coordinates(path: str | Path, box: GeoBox) -> None:
    """Refuse metres that are said to be degrees, the commonest mistake with a CRS."""
    if box.crs is None:
        return
    if box.crs.proj.is_geocentric:
        raise InputError(
            f"{shown(path)} has a geocentric CRS ({crs_name(box)}), in which no map lies: warp it "
            "to a projected CRS (gdalwarp)"
        )
    rows = (box.affine @ (column, row) for column in (0, box.width) for row in (0, box.height))
    farthest = max((y for _, y in rows), key=abs)
    in_degrees = box.crs.geographic and not box.crs.proj.is_derived  # as rotated poles are
    if in_degrees and abs(farthest) > LARGEST_LATITUDE:
        raise InputError(
            f"{shown(path)} reaches the latitude {farthest:g}, but {crs_name(box)} counts in "
            "degrees: give it the CRS that its coordinates are in (gdal_edit -a_srs)"
        )


def band_table(
    path: str | Path,
    dataset: rasterio.DatasetReader,
    nodata: float | None,
    names: Sequence[str] | None,
) -> tuple[tuple[SourceBand, ...], tuple[str, ...]]:
    """Return the bands, and notes on what is odd about them.

    Args:
        path: the raster's path, for messages.
        dataset: an open raster.
        nodata: value that replaces the declared ones.
        names: names that replace the declared ones.

    Raises:
        ConfigError: `nodata` does not fit the data type, or `names` not the number of bands.
    """
    if names is not None and len(names) != dataset.count:
        raise ConfigError(
            f"{shown(path)} has {dataset.count} bands, but {len(names)} names were given "
            f"({' '.join(names)}): name each of them once"
        )
    unfit = [dtype for dtype in dataset.dtypes if nodata is not None and not holds(dtype, nodata)]
    if unfit:
        raise ConfigError(f"{shown(path)} holds {unfit[0]}, which cannot be nodata {nodata:g}")
    notes = []
    bands = []
    for at, dtype in enumerate(dataset.dtypes):
        value = dataset.nodatavals[at] if nodata is None else nodata
        if value is not None and not holds(dtype, value):
            notes.append(f"band {at + 1} declares nodata {value:g}, which {dtype} cannot hold")
            value = None
        bands.append(
            SourceBand(
                name=names[at] if names is not None else _band_name(dataset, at),
                dtype=dtype,
                nodata=value,
                scale=dataset.scales[at],
                offset=dataset.offsets[at],
                tagged_alpha=dataset.colorinterp[at] == ColorInterp.alpha,
            )
        )
    if ColorInterp.palette in dataset.colorinterp:
        notes.append("the values are numbers of a colour table, not colours")
    return tuple(bands), tuple(notes)


def _band_name(dataset: rasterio.DatasetReader, at: int) -> str | None:
    """Return a band's description, unless it only counts, or else its colour."""
    described = (dataset.descriptions[at] or "").strip()
    if described and not _COUNTED.fullmatch(described):
        return described
    return NAMED_COLOURS.get(dataset.colorinterp[at])
