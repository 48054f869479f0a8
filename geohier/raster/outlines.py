"""Vector files: which may be opened, and their features as a table."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from geohier.errors import InputError, first_cause
from geohier.raster.files import local_file, shown

SIGNATURES = {
    b"SQLite format 3\x00": "GeoPackage",
    b"fgb\x03": "FlatGeobuf",
    b"\x00\x00\x27\x0a": "Shapefile",
}
"""First bytes of the formats that geohier reads; GeoJSON is told by its first brace."""

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def is_vector(path: str | Path) -> bool:
    """Return whether a local file starts as a vector file of a format that geohier reads.

    Raises:
        UnsafeInputError: the path leads to the network or into one of GDAL's file systems.
        InputError: there is no such file, or it is empty or a folder.
    """
    with local_file(path).open("rb") as file:
        head = file.read(64)
    text = head.removeprefix(BYTE_ORDER_MARK).lstrip()
    return text.startswith(b"{") or any(head.startswith(first) for first in SIGNATURES)


def read_features(path: str | Path, *, layer: str | None = None) -> Any:  # noqa: ANN401 - geopandas is untyped
    """Read the features of a vector file that have a geometry, as a GeoDataFrame.

    GDAL opens far more than vector files: only formats known by their first bytes get to it.

    Raises:
        UnsafeInputError: the path leads to the network or into one of GDAL's file systems.
        InputError: the file is missing, damaged, has no CRS or is in another format.
    """
    import geopandas

    with _vector_io(path):
        frame = geopandas.read_file(local_file(path), layer=layer)
    if "geometry" not in frame.columns:
        raise InputError(f"{shown(path)} is a table without geometries: give polygons")
    frame = frame[frame.geometry.notna() & ~frame.geometry.is_empty]
    if frame.crs is None:
        raise InputError(
            f"{shown(path)} has no CRS, so its features cannot be placed: write it with one, as "
            "ogr2ogr -a_srs does"
        )
    return frame


def read_attributes(path: str | Path) -> tuple[list[str], list[dict[str, str]]]:
    """Return the columns of a vector file and, for each feature, their values as text.

    Geometries are left alone, so features may lack them. Of several layers, the one that has
    geometries is read.

    Raises:
        UnsafeInputError, InputError: as for `read_features`.
    """
    import pyogrio

    with _vector_io(path):
        layers = pyogrio.list_layers(local_file(path))
        placed = [str(name) for name, geometry in layers if geometry]
        chosen = placed or [str(name) for name, _ in layers]
        if len(chosen) != 1:
            raise InputError(
                f"{shown(path)} holds the layers {' '.join(chosen) or '(none)'}: keep one"
            )
        frame = pyogrio.read_dataframe(local_file(path), layer=chosen[0], read_geometry=False)
    columns = [str(name) for name in frame.columns]
    return columns, [dict(zip(columns, map(_text, row), strict=True)) for row in frame.to_numpy()]


def _text(value: Any) -> str:  # noqa: ANN401 - whatever a column holds
    """Return a cell as text: nothing is empty, and whole numbers have no decimals."""
    if value is None or value != value:  # NaN, the null of numbers
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


@contextmanager
def _vector_io(path: str | Path) -> Iterator[None]:
    """Check the format of a vector file, and turn what its reader raises into one line."""
    if not is_vector(path):
        formats = ", ".join(SIGNATURES.values())
        raise InputError(
            f"{shown(path)} is not a vector file that geohier reads: convert it (ogr2ogr) to "
            f"{formats} or GeoJSON"
        )
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=RuntimeWarning, module="pyogrio")
            yield
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"{shown(path)} cannot be read as a vector file: {_without_hint(error)}"
        ) from error


def _without_hint(error: Exception) -> str:
    """Return what went wrong without pyogrio's advice for calling it."""
    return first_cause(error).split("; It might help to")[0]
