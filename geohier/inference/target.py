"""Where a result may go: never over what is read for it, nor among the files of a model."""

from collections.abc import Iterable
from pathlib import Path

from geohier.errors import ConfigError
from geohier.models.manifest import is_model
from geohier.raster.files import shown

GEOTIFF_SUFFIXES = (".tif", ".tiff")


def check_outside_models(target: Path) -> None:
    """Check that a result does not come to lie in a model directory.

    Raises:
        ConfigError: it would.
    """
    folder = next(filter(is_model, target.absolute().parents), None)
    if folder is not None:
        raise ConfigError(
            f"{shown(target)} would lie in a model directory, whose files are fixed: choose "
            "another path"
        )


def is_geotiff_name(target: Path) -> bool:
    """Return whether a result may be called so."""
    return target.suffix.lower() in GEOTIFF_SUFFIXES


def check_named_geotiff(target: Path) -> None:
    """Check that a result is called what it is.

    Raises:
        ConfigError: its name says that it is something else than a GeoTIFF.
    """
    if not target.is_dir() and not is_geotiff_name(target):
        raise ConfigError(f"{target}: results are GeoTIFFs: call it {target.stem}.tif")


def check_not_read(outputs: Iterable[Path], read: Iterable[Path]) -> None:
    """Check that no output takes the place of a file that is read.

    Raises:
        ConfigError: one would.
    """
    inputs = [path for path in read if path.exists()]
    for path in outputs:
        if path.exists() and any(path.samefile(source) for source in inputs):
            raise ConfigError(f"{shown(path)} is read for this result: choose another path for it")
