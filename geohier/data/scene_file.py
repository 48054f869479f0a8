"""Scene files, `NAME.scene.yaml`: which rasters make up one scene.

files:                      # the first file gives the grid
  - path: ortho.tif         # relative to the scene file
    names: [red, green, blue]
  - path: height.tif
    bands: [1]              # counted from 1; all where left out
    names: [height]
    nodata: -9999           # what it and the next two replace is what the file declares
    scale: 0.01             # physical value = value x scale + offset
    offset: -100
    resampling: nearest     # bilinear where left out
"""

from pathlib import Path

from pydantic import Field, ValidationError
from pydantic_core import ErrorDetails

from geohier.config.complaints import in_words, place, to_mend_first
from geohier.config.document import read_document
from geohier.config.section import Section
from geohier.errors import ConfigError
from geohier.raster.stack import StackFile
from geohier.raster.warped import Resampling

SUFFIXES = (".scene.yaml", ".scene.yml")


class SceneFileEntry(Section):
    """One raster of a scene."""

    path: Path
    """Raster, relative to the scene file."""
    bands: tuple[int, ...] | None = Field(default=None, min_length=1)
    """Bands to take, counted from 1; all where null."""
    names: tuple[str, ...] | None = Field(default=None, min_length=1)
    """Names of the bands taken; the file's own where null."""
    nodata: float | None = Field(default=None, allow_inf_nan=True)
    """Value that means no data; the file's own where null."""
    scale: float | None = Field(default=None, gt=0)
    """Scale of the bands taken: physical value = value x scale + offset; the file's own where
    null."""
    offset: float | None = None
    """Offset of the bands taken; the file's own where null."""
    resampling: Resampling = "bilinear"
    """How to bring it to the first file's grid: nearest for classes."""


class SceneFile(Section):
    """A scene, as its file describes it."""

    files: tuple[SceneFileEntry, ...] = Field(min_length=1, max_length=1000)
    """Rasters of the scene; the first gives the grid."""


def is_scene_file(path: Path) -> bool:
    """Whether a path is named like a scene file."""
    return path.name.lower().endswith(SUFFIXES)


def read_scene_file(path: Path) -> tuple[StackFile, ...]:
    """Return the rasters that a scene file names.

    Raises:
        ConfigError: it is no YAML, has keys that a scene file has not, or values of another kind.
    """
    try:
        scene = SceneFile.model_validate(read_document(path))
    except ValidationError as error:
        finding = to_mend_first(error)
        where = ".".join(map(str, place(finding)))
        raise ConfigError(f"{path}: {where}: {_said(finding)}") from error
    return tuple(
        StackFile(
            path=path.parent / entry.path,
            bands=entry.bands,
            names=entry.names,
            nodata=entry.nodata,
            scale=entry.scale,
            offset=entry.offset,
            resampling=entry.resampling,
        )
        for entry in scene.files
    )


def _said(finding: ErrorDetails) -> str:
    if finding["type"] == "extra_forbidden":
        owner = SceneFile if len(finding["loc"]) == 1 else SceneFileEntry
        return f"unknown key; the keys are {' '.join(owner.model_fields)}"
    return in_words(finding)
