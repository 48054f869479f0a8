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

A stack of dates has `dates` in place of `files`; all dates have the same bands:

dates:                      # in any order; the newest gives the grid
  - date: 2016-06-30        # 2016-06 or 2016 of a composite
    files:
      - path: ortho_2016.tif
  - date: 2020-07-02
    files:
      - path: ortho_2020.tif
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from geohier.config.complaints import in_words, place, to_mend_first
from geohier.config.document import read_document
from geohier.config.section import Section
from geohier.errors import ConfigError
from geohier.geo.dates import newest_first, read_date
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


class SceneFileDate(Section):
    """The rasters of one date."""

    date: Annotated[date, BeforeValidator(read_date)]
    """When they were taken: 2016-06-30; 2016-06 or 2016 of a composite."""
    files: tuple[SceneFileEntry, ...] = Field(min_length=1, max_length=1000)
    """Rasters of this date, with the same bands at each."""


class SceneFile(Section):
    """A scene, as its file describes it."""

    files: tuple[SceneFileEntry, ...] = Field(default=(), max_length=1000)
    """Rasters of the scene; the first gives the grid."""
    dates: tuple[SceneFileDate, ...] = Field(default=(), max_length=1000)
    """Rasters of a stack of dates; those of the newest give the grid."""

    @model_validator(mode="after")
    def _files_or_dates(self) -> Self:
        if bool(self.files) == bool(self.dates):
            found = "both" if self.files else "neither"
            raise ValueError(f"give files, or dates with files each; found {found}")
        for one, count in Counter(each.date for each in self.dates).items():
            if count > 1:
                raise ValueError(f"date {one} stands {count} times: keep one")
        return self


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
        raise ConfigError(f"{path}: {where}: {_said(finding)}".replace(": : ", ": ")) from error
    return (*_stack_files(path, scene.files), *_of_dates(path, scene.dates))


def _of_dates(path: Path, dates: Iterable[SceneFileDate]) -> Iterable[StackFile]:
    by_date = {one.date: one.files for one in dates}
    for taken in newest_first(by_date):
        for file in _stack_files(path, by_date[taken]):
            yield replace(file, taken=taken)


def _stack_files(path: Path, entries: Iterable[SceneFileEntry]) -> tuple[StackFile, ...]:
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
        for entry in entries
    )


def _said(finding: ErrorDetails) -> str:
    if finding["type"] == "extra_forbidden":
        owner = _owner(finding["loc"])
        return f"unknown key; the keys are {' '.join(owner.model_fields)}"
    return in_words(finding)


def _owner(loc: tuple[int | str, ...]) -> type[Section]:
    """Return what an unknown key stands in."""
    if len(loc) == 1:
        return SceneFile
    return SceneFileDate if loc[0] == "dates" and len(loc) == 3 else SceneFileEntry
