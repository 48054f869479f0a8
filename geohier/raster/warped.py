"""A raster on another grid, resampled while it is read."""

from collections.abc import Sequence
from functools import partial
from typing import Literal
from xml.etree.ElementTree import Element, SubElement, tostring

import rasterio
from odc.geo.geobox import GeoBox
from rasterio.enums import Resampling as RasterioResampling
from rasterio.vrt import WarpedVRT

from geohier.raster.access import Handle, raster_io
from geohier.raster.reader import RasterReader, RasterSource
from geohier.raster.source import AlphaRule, SourceBand, ValidRule

type Resampling = Literal["bilinear", "nearest"]
"""How values between pixels are found: `nearest` for classes, `bilinear` for all else."""


def warped_reader(
    source: RasterSource,
    indexes: Sequence[int],
    grid: GeoBox,
    *,
    resampling: Resampling,
    valid: ValidRule,
    alpha: AlphaRule,
) -> RasterReader:
    """Return a reader of a source's bands on another grid; it is invalid where the source ends."""
    plain = source.select(indexes, valid=valid, alpha=alpha)
    nodata = _nodata(source)
    # Without nodata or alpha of its own, an added alpha band says where the source ends.
    added = nodata is None and not plain.uses_alpha
    untag = any(band.tagged_alpha for band in source.bands) and not plain.uses_alpha
    options = {
        "crs": None if grid.crs is None else grid.crs.to_wkt(),
        "transform": grid.affine,
        "height": grid.shape[0],
        "width": grid.shape[1],
        "resampling": RasterioResampling[resampling],
        "src_nodata": nodata,
        "nodata": nodata,
        "add_alpha": added,
        "UNIFIED_SRC_NODATA": "NO",  # each band by itself
    }
    handle = Handle(partial(_warp, source, options, untag=untag))
    bands = tuple(_with_nodata(band, nodata) for band in source.bands)
    if added:
        bands += (SourceBand(name=None, dtype=bands[0].dtype, tagged_alpha=True),)
    on_grid = RasterSource(source.traits, handle, grid, bands)
    mask: AlphaRule = "band" if added or plain.uses_alpha else "none"
    reader = on_grid.select(indexes, valid=valid, alpha=mask)
    reader.original = plain
    return reader


def _nodata(source: RasterSource) -> float | None:
    declared = [band.nodata for band in source.bands if band.nodata is not None]
    if declared:
        return declared[0]
    return float("nan") if source.bands[0].dtype.startswith("float") else None


def _with_nodata(band: SourceBand, nodata: float | None) -> SourceBand:
    return SourceBand(
        name=band.name, dtype=band.dtype, nodata=nodata, tagged_alpha=band.tagged_alpha
    )


def _warp(source: RasterSource, options: dict[str, object], *, untag: bool) -> WarpedVRT:
    with raster_io(source.files[0]):
        dataset = source.handle.dataset
        if untag:  # the warper would take the band for alpha
            dataset = rasterio.open(_without_colours(dataset), driver="VRT")
        return WarpedVRT(dataset, **options)


def _without_colours(dataset: rasterio.DatasetReader) -> str:
    """Return a VRT of the same bands, none of which is said to be alpha."""
    root = Element("VRTDataset", rasterXSize=str(dataset.width), rasterYSize=str(dataset.height))
    SubElement(root, "SRS").text = dataset.crs.to_wkt() if dataset.crs else ""
    SubElement(root, "GeoTransform").text = ", ".join(map(repr, dataset.transform.to_gdal()))
    for number, dtype in enumerate(dataset.dtypes, start=1):
        gdal_type = "Byte" if dtype == "uint8" else dtype  # GDAL minds no capitals
        band = SubElement(root, "VRTRasterBand", dataType=gdal_type, band=str(number))
        simple = SubElement(band, "SimpleSource")
        SubElement(simple, "SourceFilename", relativeToVRT="0").text = dataset.name
        SubElement(simple, "SourceBand").text = str(number)
    return tostring(root, encoding="unicode")
