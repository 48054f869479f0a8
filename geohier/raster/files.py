"""Which files may be opened as rasters, and by which of GDAL's drivers.

GDAL opens far more than images: a text file named `.tif` may send it to the network. So the driver
is chosen here, from the first bytes of a file on this machine; anything else is refused.
"""

import os
import re
import stat
from pathlib import Path

from geohier.errors import InputError, RasterReadError, UnsafeInputError, first_cause

SIGNATURES = (
    (b"II*\x00", "GTiff"),
    (b"MM\x00*", "GTiff"),
    (b"II+\x00", "GTiff"),
    (b"MM\x00+", "GTiff"),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "JP2OpenJPEG"),
    (b"\xff\x4f\xff\x51", "JP2OpenJPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
)
"""First bytes of the formats that geohier reads, and GDAL's driver for each."""

ZIP = b"PK\x03\x04"
"""First bytes of a zip archive."""

FORMATS = "GeoTIFF, JPEG 2000, PNG, JPEG or a VRT of those"
HEADER_BYTES = 1024
"""GDAL takes a file for a VRT if `<VRTDataset` stands among so many first bytes."""

_ONE_SLASH = re.compile(r"^([a-z][a-z0-9+.-]+):/(?!/)", re.IGNORECASE)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]+:/", re.IGNORECASE)


def shown(path: str | Path) -> str:
    """Return a path as text that can be printed whatever its bytes are.

    A URL gets back the slash that it loses as a path.

    Example:
        >>> shown(Path("https://a.org/b.tif"))
        'https://a.org/b.tif'
    """
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return _ONE_SLASH.sub(r"\1://", text)


def is_remote(path: str | Path) -> bool:
    """Whether a path names a URL or one of GDAL's `/vsi` file systems rather than a file."""
    text = os.fspath(path)
    return "://" in text or text.startswith("/vsi") or _SCHEME.match(text) is not None


def full_name(path: str | Path) -> str:
    """Return a file's full path, links followed, or the name of what is not on this machine."""
    return shown(path if is_remote(path) else Path(path).resolve())


def local_file(path: str | Path) -> Path:
    """Check that `path` is a file that may be opened, and return it as an absolute path.

    Raises:
        UnsafeInputError: the path leads to the network or into one of GDAL's file systems.
        InputError: there is no such file, or it is empty, a folder, or has an impossible name.
    """
    name = shown(path)
    if is_remote(path) or is_remote(Path(path).absolute()):
        raise UnsafeInputError(f"{name} is not a file on this machine: download it first")
    try:
        str(path).encode()
        about = Path(path).stat()
    except UnicodeEncodeError:
        raise InputError(f"{name}: its name is not UTF-8, which GDAL needs: rename it") from None
    except FileNotFoundError:
        raise RasterReadError(f"{name}: no such file") from None
    except (OSError, ValueError) as error:
        raise RasterReadError(f"{name} cannot be opened: {first_cause(error)}") from error
    if stat.S_ISDIR(about.st_mode):
        raise InputError(f"{name} is a folder: give a file")
    if not stat.S_ISREG(about.st_mode):
        raise UnsafeInputError(f"{name} is a pipe or a device: give a file")
    if about.st_size == 0:
        raise RasterReadError(f"{name} is empty (0 bytes)")
    return Path(path).absolute()


def driver_of(path: Path) -> str:
    """Return GDAL's driver for a local file, judged by its first bytes and never by its name.

    Raises:
        InputError: the file cannot be read, or is in no format that geohier reads.
        UnsafeInputError: the file is an image and a VRT at once.
    """
    try:
        with path.open("rb") as file:
            head = file.read(HEADER_BYTES)
    except OSError as error:
        raise RasterReadError(f"{shown(path)} cannot be opened: {first_cause(error)}") from error
    drivers = [driver for signature, driver in SIGNATURES if head.startswith(signature)]
    if b"<VRTDataset" in head:
        if drivers:
            raise UnsafeInputError(f"{shown(path)} is an image and a VRT at once: refused")
        return "VRT"
    if head.startswith(ZIP):
        raise InputError(
            f"{shown(path)} is a zip archive: unpack it and give what is inside; predict also "
            f"takes /vsizip/{shown(path.absolute())}/NAME.tif with --allow-remote"
        )
    if not drivers:
        hint = ", or call a scene file NAME.scene.yaml" if path.suffix in (".yaml", ".yml") else ""
        raise InputError(f"{shown(path)} is not a raster that geohier reads: give {FORMATS}{hint}")
    return drivers[0]
