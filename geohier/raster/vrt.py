"""Part files seen as one raster: the text of a VRT with all that the final file says.

GDAL's VRT is the one place where colours, a raster attribute table, scales and tags can be given
to the COG driver together; rasterio alone cannot write the attribute table.
"""

import json
from collections.abc import Mapping, Sequence
from xml.etree import ElementTree as ET

from affine import Affine
from odc.geo.geobox import GeoBox

from geohier.geo.window import Window
from geohier.raster.layers import Layer
from geohier.raster.record import Part

CLASSES_TAG = "classification_classes"
"""Tag that holds STAC's `classification:classes`; GDAL would cut the name at its colon."""

LAYER_TAG = "geohier_layer"
"""Tag that names the layer."""

_NAME_USAGE, _VALUE_USAGE = 2, 5
"""GDAL's GFU_Name and GFU_MinMax; red, green, blue are 6, 7, 8."""


def vrt_of(layer: Layer, geobox: GeoBox, parts: Sequence[Part], tags: Mapping[str, str]) -> str:
    """Return the VRT of one layer; the part files are named relative to it."""
    height, width = geobox.shape
    root = ET.Element("VRTDataset", rasterXSize=str(width), rasterYSize=str(height))
    if geobox.crs is not None:
        _add_text(root, "SRS", geobox.crs.wkt)
    if geobox.affine != Affine.identity():
        a, b, c, d, e, f = geobox.affine[:6]
        _add_text(root, "GeoTransform", ", ".join(repr(float(v)) for v in (c, a, b, f, d, e)))
    _add_tags(root, _content_tags(layer, tags))
    for band in range(1, layer.count + 1):
        _add_band(root, layer, band, parts)
    return ET.tostring(root, encoding="unicode")


def classes_json(layer: Layer) -> str:
    """Return the classes as the STAC classification extension has them."""
    pairs = zip(layer.class_names or (), layer.class_colors or (), strict=True)
    classes = [
        {"value": value, "name": name, "color_hint": color[1:].upper()}
        for value, (name, color) in enumerate(pairs)
    ]
    return json.dumps([*classes, {"value": layer.nodata, "name": "nodata", "nodata": True}])


def _content_tags(layer: Layer, tags: Mapping[str, str]) -> dict[str, str]:
    classes = {} if layer.class_names is None else {CLASSES_TAG: classes_json(layer)}
    return {**tags, LAYER_TAG: layer.name} | classes


def _add_band(root: ET.Element, layer: Layer, number: int, parts: Sequence[Part]) -> None:
    kind = "Byte" if layer.dtype == "uint8" else "UInt16"
    band = ET.SubElement(root, "VRTRasterBand", dataType=kind, band=str(number))
    _add_text(band, "Description", layer.descriptions[number - 1])
    _add_text(band, "NoDataValue", layer.nodata)
    scale, offset = layer.encoding(number)
    if offset:
        _add_text(band, "Offset", repr(offset))
    if scale != 1.0:
        _add_text(band, "Scale", repr(scale))
    if layer.class_names is None:
        _add_text(band, "ColorInterp", "Gray" if layer.count == 1 else "Undefined")
    else:
        _add_text(band, "ColorInterp", "Palette")
        _add_color_table(band, layer)
        _add_attribute_table(band, layer)
    for part in parts:
        _add_source(band, part.files[layer.name].name, number, part.window, kind)


def _add_source(band: ET.Element, name: str, number: int, window: Window, kind: str) -> None:
    source = ET.SubElement(band, "SimpleSource")
    _add_text(source, "SourceFilename", name, relativeToVRT="1")
    _add_text(source, "SourceBand", number)
    size = {"xSize": str(window.width), "ySize": str(window.height)}
    ET.SubElement(
        source,
        "SourceProperties",
        RasterXSize=str(window.width),
        RasterYSize=str(window.height),
        DataType=kind,
        BlockXSize=str(window.width),
        BlockYSize="1",
    )
    ET.SubElement(source, "SrcRect", {"xOff": "0", "yOff": "0"} | size)
    place = {"xOff": str(window.col_off), "yOff": str(window.row_off)}
    ET.SubElement(source, "DstRect", place | size)


def _add_color_table(band: ET.Element, layer: Layer) -> None:
    table = ET.SubElement(band, "ColorTable")
    colors = [(*_rgb(color), 255) for color in layer.class_colors or ()]
    if layer.dtype == "uint8":
        colors += [(0, 0, 0, 0)] * (256 - len(colors))
    for color in colors:
        channels = {f"c{at}": str(value) for at, value in enumerate(color, start=1)}
        ET.SubElement(table, "Entry", channels)


def _add_attribute_table(band: ET.Element, layer: Layer) -> None:
    table = ET.SubElement(band, "GDALRasterAttributeTable", tableType="thematic")
    columns = (
        ("Value", 0, _VALUE_USAGE),
        ("Class", 2, _NAME_USAGE),
        ("Red", 0, 6),
        ("Green", 0, 7),
        ("Blue", 0, 8),
    )
    for index, (name, kind, usage) in enumerate(columns):
        column = ET.SubElement(table, "FieldDefn", index=str(index))
        _add_text(column, "Name", name)
        _add_text(column, "Type", kind)
        _add_text(column, "Usage", usage)
    pairs = zip(layer.class_names or (), layer.class_colors or (), strict=True)
    for value, (name, color) in enumerate(pairs):
        row = ET.SubElement(table, "Row", index=str(value))
        for cell in (value, name, *_rgb(color)):
            _add_text(row, "F", cell)


def _add_tags(root: ET.Element, tags: Mapping[str, str]) -> None:
    metadata = ET.SubElement(root, "Metadata")
    for key, value in sorted(tags.items()):
        _add_text(metadata, "MDI", value, key=key)


def _rgb(color: str) -> tuple[int, int, int]:
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def _add_text(parent: ET.Element, tag: str, value: object, **attributes: str) -> None:
    ET.SubElement(parent, tag, attributes).text = str(value)
