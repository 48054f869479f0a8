"""Sentinel-2 products as they are delivered: SAFE folders of levels 1C and 2A.

Each band is taken at its finest resolution; the 10 m grid is the scene's. Values are turned into
reflectance by scale and offset, which come from the product's metadata: since 2022 (baseline 04.00)
1000 is added to all values, which no look at the pixels could tell.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from geohier.errors import InputError
from geohier.raster.files import shown
from geohier.raster.stack import StackFile

BANDS = (
    ("B01", 60), ("B02", 10), ("B03", 10), ("B04", 10), ("B05", 20), ("B06", 20), ("B07", 20),
    ("B08", 10), ("B8A", 20), ("B09", 60), ("B10", 60), ("B11", 20), ("B12", 20),
)  # fmt: skip
"""Bands in the order of the metadata's `band_id`, with their own resolution in metres."""

LARGEST_METADATA_BYTES = 32 * 2**20
_IMAGE = re.compile(r"_(B\d[0-9A])(?:_(\d\d)m)?\.(?:jp2|tif)$", re.IGNORECASE)


def is_safe_folder(path: Path) -> bool:
    """Whether a path is a SAFE folder of Sentinel-2."""
    return path.is_dir() and any(path.glob("MTD_MSIL*.xml"))


def read_safe(folder: Path) -> tuple[StackFile, ...]:
    """Return the images of a SAFE folder, one band each, the 10 m bands first.

    Raises:
        InputError: metadata or images are missing, or there is more than one granule.
    """
    metadata = _metadata(folder)
    granules = sorted(path for path in (folder / "GRANULE").glob("*/IMG_DATA") if path.is_dir())
    if len(granules) != 1:
        raise InputError(
            f"{shown(folder)} has {len(granules)} granules: give a product of one tile, "
            "complete with GRANULE/*/IMG_DATA"
        )
    images = dict(_finest(granules[0]))
    if not any(images.get(name, (0, None))[0] == 10 for name, _ in BANDS):
        raise InputError(
            f"{shown(folder)} has no 10 m band, which gives the grid: download it whole"
        )
    order = sorted(images, key=lambda name: (images[name][0], _ids()[name]))
    quantification, offsets = _scaling(metadata, folder)
    return tuple(
        StackFile(
            path=images[name][1],
            names=(name,),
            nodata=0,
            scale=1 / quantification,
            offset=offsets.get(_ids()[name], 0.0) / quantification,
        )
        for name in order
    )


def _ids() -> dict[str, int]:
    return {name: at for at, (name, _) in enumerate(BANDS)}


def _finest(folder: Path) -> Iterator[tuple[str, tuple[int, Path]]]:
    """Yield each band's name, resolution and image, at its finest resolution."""
    native = dict(BANDS)
    found: dict[str, tuple[int, Path]] = {}
    for path in sorted(folder.rglob("*")):
        match = _IMAGE.search(path.name)
        if match and match[1].upper() in native:
            name = match[1].upper()
            resolution = int(match[2]) if match[2] else native[name]
            if name not in found or resolution < found[name][0]:
                found[name] = (resolution, path)
    yield from found.items()


def _metadata(folder: Path) -> ElementTree.Element:
    path = next(iter(sorted(folder.glob("MTD_MSIL*.xml"))), None)
    if path is None:
        raise InputError(f"{shown(folder)} has no MTD_MSIL1C.xml or MTD_MSIL2A.xml: is it whole?")
    raw = path.read_bytes() if path.stat().st_size <= LARGEST_METADATA_BYTES else b"<!DOCTYPE"
    if b"<!DOCTYPE" in raw or b"<!ENTITY" in raw:
        raise InputError(f"{shown(path)} is not the metadata of a Sentinel-2 product")
    try:
        return ElementTree.fromstring(raw.decode("utf-8"))
    except (ElementTree.ParseError, ValueError) as error:
        raise InputError(f"{shown(path)} is not readable metadata: {error}") from error


def _scaling(metadata: ElementTree.Element, folder: Path) -> tuple[float, dict[int, float]]:
    """Return the value of reflectance 1, and what is added to each band's values, by band id."""
    names = ("BOA_QUANTIFICATION_VALUE", "QUANTIFICATION_VALUE")
    try:
        texts = [element.text for name in names for element in metadata.iter(name)]
        quantification = float(texts[0] or "")
        offsets = {
            int(element.attrib["band_id"]): float(element.text or "")
            for name in ("BOA_ADD_OFFSET", "RADIO_ADD_OFFSET")
            for element in metadata.iter(name)
        }
    except (IndexError, KeyError, ValueError) as error:
        raise InputError(
            f"{shown(folder)}: its metadata do not say how values become reflectance "
            "(QUANTIFICATION_VALUE): is it a Sentinel-2 product of level 1C or 2A?"
        ) from error
    if not quantification > 0:
        raise InputError(f"{shown(folder)}: a quantification value of {quantification:g} is wrong")
    return quantification, offsets
