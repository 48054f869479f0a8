"""VRT files from strangers: checked without GDAL, then handed to GDAL as a text of our own.

A VRT is a text that names other rasters, and GDAL follows it anywhere: to the network, into raw
bytes of any file, into functions. So only elements on a list are let through, every source must be
a local image, and GDAL never sees the file itself but what was checked.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from geohier.errors import InputError, UnsafeInputError
from geohier.raster.files import driver_of, is_remote, local_file, shown

MAX_BYTES = 32 * 2**20
"""Largest VRT, in bytes of text, with the VRTs that it names."""
MAX_DEPTH = 2

_RECTANGLE = {"xOff", "yOff", "xSize", "ySize"}
ALLOWED: dict[str, set[str]] = {
    "VRTDataset": {"rasterXSize", "rasterYSize"},
    "SRS": {"dataAxisToSRSAxisMapping", "coordinateEpoch"},
    "GeoTransform": set(),
    "VRTRasterBand": {"dataType", "band", "blockXSize", "blockYSize"},
    "MaskBand": set(),
    "Description": set(),
    "NoDataValue": set(),
    "HideNoDataValue": set(),
    "ColorInterp": set(),
    "ColorTable": set(),
    "Entry": {"c1", "c2", "c3", "c4"},
    "Scale": set(),
    "Offset": set(),
    "UnitType": set(),
    "SimpleSource": {"resampling"},
    "ComplexSource": {"resampling"},
    "SourceFilename": {"relativeToVRT", "relativetoVRT", "shared"},
    "SourceBand": set(),
    "SourceProperties": {"RasterXSize", "RasterYSize", "DataType", "BlockXSize", "BlockYSize"},
    "SrcRect": _RECTANGLE,
    "DstRect": _RECTANGLE,
    "NODATA": set(),
    "UseMaskBand": set(),
    "ScaleOffset": set(),
    "ScaleRatio": set(),
}
"""Elements that GDAL gets to see, and their attributes. All others are dropped or refused."""

DROPPED = {"CategoryNames", "GCPList", "Histograms", "Metadata", "Overview", "OverviewList"}
"""Elements that say nothing about the pixels: left out."""


def checked_vrt(path: Path) -> str:
    """Return the text of a local VRT, with every source checked and named by its full path.

    Raises:
        UnsafeInputError: it could reach beyond local images, or holds what geohier does not know.
        InputError: it is not XML, or a source cannot be used.
    """
    return _Checker().checked(path, depth=1)


def sources_of_vrt(path: Path) -> tuple[Path, ...]:
    """Return the files that a local VRT is made of, those of the VRTs that it names included.

    Raises:
        UnsafeInputError, InputError: as `checked_vrt`.
    """
    checker = _Checker()
    checker.checked(path, depth=1)
    return tuple(dict.fromkeys(checker.sources))


class _Checker:
    """Rewrites one VRT and those that it names, within one budget of bytes."""

    def __init__(self) -> None:
        self.bytes_left = MAX_BYTES
        self.sources: list[Path] = []

    def checked(self, path: Path, depth: int) -> str:
        if depth > MAX_DEPTH:
            raise UnsafeInputError(f"{shown(path)}: VRTs may be nested {MAX_DEPTH} deep at most")
        root = self._parsed(path)
        if root.tag != "VRTDataset":
            raise UnsafeInputError(f"{shown(path)}: <{root.tag}> is no VRT: {_ADVICE}")
        self._check(root, path, depth)
        return ElementTree.tostring(root, encoding="unicode")

    def _parsed(self, path: Path) -> Element:
        self.bytes_left -= path.stat().st_size
        if self.bytes_left < 0:
            raise UnsafeInputError(f"{shown(path)}: a VRT may have {MAX_BYTES >> 20} MiB at most")
        text = path.read_bytes()
        if b"<!DOCTYPE" in text or b"<!ENTITY" in text:
            raise UnsafeInputError(f"{shown(path)} declares XML entities: {_ADVICE}")
        try:
            return ElementTree.fromstring(text.decode("utf-8"))
        except (ElementTree.ParseError, ValueError) as error:
            raise InputError(f"{shown(path)} is not a readable VRT: {error}") from error

    def _check(self, element: Element, path: Path, depth: int) -> None:
        unknown = sorted(set(element.attrib) - ALLOWED.get(element.tag, set()))
        if element.tag not in ALLOWED or unknown:
            what = " ".join([element.tag, *unknown])
            raise UnsafeInputError(f"{shown(path)}: <{what}> is not allowed in a VRT: {_ADVICE}")
        for child in [child for child in element if child.tag in DROPPED]:
            element.remove(child)
        for child in element:
            self._check(child, path, depth)
        if element.tag == "SourceFilename":
            self._resolve(element, path, depth)

    def _resolve(self, element: Element, vrt: Path, depth: int) -> None:
        name = (element.text or "").strip()
        relative = "1" in (element.get("relativeToVRT"), element.get("relativetoVRT"))
        if is_remote(name):  # before a folder in front of it hides that
            raise UnsafeInputError(f"{shown(vrt)} leads to {name}: only local files may be named")
        with _named_by(vrt):
            source = local_file(vrt.parent / name if relative else name)
            driver = driver_of(source)
        element.attrib.clear()
        self.sources.append(source)
        element.text = self.checked(source, depth + 1) if driver == "VRT" else str(source)


@contextmanager
def _named_by(vrt: Path) -> Iterator[None]:
    """Say which VRT names a source that cannot be used."""
    try:
        yield
    except InputError as error:
        raise type(error)(f"{shown(vrt)}: its source {error}") from error


_ADVICE = "write a plain mosaic with gdalbuildvrt"
