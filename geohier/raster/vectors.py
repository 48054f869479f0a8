"""Vector files that are whole or absent, written from a table of features and read back."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import shapely

from geohier.errors import ConfigError, InputError, OutputExistsError, ResourceError
from geohier.raster.durable import draft_of, sha256_of, writing
from geohier.raster.files import shown

DRIVERS: Mapping[str, str] = {
    ".gpkg": "GPKG",
    ".fgb": "FlatGeobuf",
    ".geojson": "GeoJSON",
    ".json": "GeoJSON",
}
"""Formats, by the suffix that asks for them."""

NO_DATE = "1970-01-01T00:00:00.000Z"
"""What a GeoPackage says of when it was written, so that equal features give equal bytes."""

DEGREES = 1e-6
"""How far corners may lie from where they were, in a GeoJSON: it keeps seven decimals."""

HALF_ROUND = 180
"""Degrees of longitude; what seems to span more lies on both sides of the antimeridian."""


def check_named_vector(path: Path) -> None:
    """Check that a file is called as a format that can be written.

    Raises:
        ConfigError: it is not.
    """
    if path.suffix.lower() not in DRIVERS:
        raise ConfigError(f"{shown(path)}: give a name that ends in {', '.join(DRIVERS)}")
    if path.is_dir():
        raise ConfigError(f"{shown(path)} is a folder: give the name of a file")
    above = next((one for one in path.absolute().parents if one.exists()), None)
    if above is not None and not above.is_dir():
        raise ConfigError(
            f"{shown(path)} lies below {shown(above)}, which is a file: choose another path"
        )


def check_placed(path: Path, crs: object) -> None:
    """Check that features of a CRS may be written to a file: GeoJSON is always in degrees.

    Raises:
        ConfigError: they may not.
    """
    if crs is None and _is_geojson(path):
        raise ConfigError(
            f"{shown(path)}: a GeoJSON is in degrees, but the raster has no CRS: write a .gpkg, or "
            "give the raster a CRS (gdal_edit -a_srs)"
        )


def write_vectors(
    frame: Any,  # noqa: ANN401 - geopandas is untyped
    path: Path,
    *,
    geometry: Literal["Point", "Polygon"] = "Polygon",
    overwrite: bool = True,
) -> bool:
    """Write features so that the file is whole or, if it was not there, absent.

    A GeoJSON is in longitude and latitude (RFC 7946), any other file in the features' own CRS. What
    is on the disk is read back before it gets its name. The layer is called as the file.

    Args:
        frame: a GeoDataFrame.
        path: file to write; its suffix says the format.
        geometry: what the features are.
        overwrite: take the place of a file of other features that is there.

    Returns:
        Whether there was no such file yet.

    Raises:
        OutputExistsError: a file of other features is there.
        ConfigError: no format has this suffix, or a GeoJSON is asked for without a CRS.
        ResourceError: the disk is full, read-only or failing.
    """
    check_named_vector(path)
    check_placed(path, frame.crs)
    laid = frame.to_crs("OGC:CRS84") if _is_geojson(path) else frame
    if _is_geojson(path):
        _check_on_earth(laid, path)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with draft_of(path, keep_suffix=True) as draft:
        draft.unlink(missing_ok=True)
        _write(laid, draft, path, geometry)
        _check(laid, draft, path)
        is_new = not path.exists() or sha256_of(path) != sha256_of(draft)
        if path.exists() and is_new and not overwrite:
            raise OutputExistsError(
                f"{shown(path)} is there already and holds something else: choose --overwrite or "
                "another path"
            )
    return is_new


def _check_on_earth(frame: Any, path: Path) -> None:  # noqa: ANN401
    """Check that features in degrees lie on the globe."""
    left, bottom, right, top = frame.total_bounds if len(frame) else (0, 0, 0, 0)
    if not (left >= -360 and right <= 360 and bottom >= -90 and top <= 90):
        raise InputError(
            f"{shown(path)}: features lie at {left:g} to {right:g} degrees east and {bottom:g} to "
            f"{top:g} north, which is not on Earth: check CRS and place of the raster"
        )


def _is_geojson(path: Path) -> bool:
    return DRIVERS[path.suffix.lower()] == "GeoJSON"


def _write(frame: Any, draft: Path, path: Path, geometry: str) -> None:  # noqa: ANN401
    import pyogrio

    options = {"RFC7946": "YES"} if _is_geojson(path) else {}
    before = pyogrio.get_gdal_config_option("OGR_CURRENT_DATE")
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": NO_DATE})
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="'crs' was not provided")
            pyogrio.write_dataframe(
                frame,
                draft,
                driver=DRIVERS[path.suffix.lower()],
                layer=path.stem,
                geometry_type=geometry,
                **options,
            )
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError) as error:
        raise ResourceError(
            f"{shown(path)} cannot be written ({error}): free some space or choose another folder"
        ) from error
    finally:
        pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": before})


def _check(frame: Any, draft: Path, path: Path) -> None:  # noqa: ANN401
    """Check that a file holds these features: as many, in this CRS, each in its place."""
    import pyogrio

    try:
        found = pyogrio.read_dataframe(draft)
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError) as error:
        raise ResourceError(
            f"{shown(path)} cannot be read back ({error}): the disk may be failing; choose another "
            "folder"
        ) from error
    same = len(found) == len(frame) and (found.crs == frame.crs or _is_geojson(path))
    if same and len(frame):
        same = _in_place(found, frame, DEGREES if _is_geojson(path) else 0.0)
    if not same:
        raise ResourceError(
            f"{shown(path)} does not hold what was written ({len(found)} of {len(frame)} features "
            "were found): the disk may be failing; choose another folder"
        )


def _in_place(found: Any, frame: Any, near: float) -> bool:  # noqa: ANN401
    """Return whether features have the same bounds; degrees, if they go by a nearness.

    What crosses the antimeridian is cut there as it is written (RFC 7946), so its bounds differ.
    """
    first, second = (shapely.bounds(one.geometry.to_numpy()) for one in (found, frame))
    if near:
        whole = second[:, 2] - second[:, 0] <= HALF_ROUND
        first, second = first[whole], second[whole]
    first, second = np.sort(first, axis=0), np.sort(second, axis=0)
    return bool(np.allclose(first, second, rtol=0, atol=near))
