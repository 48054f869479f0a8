"""One scene with its labels and its split, as every catalogue lists it."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Literal

from geohier.data.scene import Scene, scene_at
from geohier.errors import InputError, TilingError
from geohier.geo.window import Window
from geohier.raster.files import shown
from geohier.raster.stack import StackFile

type Split = Literal["train", "val"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledScene:
    """One scene, its labels, and its split.

    Args:
        id: name of the scene, unique within its split.
        image: raster, scene file or SAFE folder that gives the grid.
        more: further rasters of the same place.
        mask: label raster, or vector file.
        split: `train` is learned from, `val` judges.
        windows: parts of the scene that are in the split; empty for the whole scene.
        taken: when the image was taken, where that counts.
        earlier: images of the same place at earlier dates, and when they were taken.
    """

    id: str
    image: Path
    mask: Path
    split: Split
    more: tuple[Path, ...] = ()
    windows: tuple[Window, ...] = ()
    taken: date | None = None
    earlier: tuple[tuple[date, tuple[Path, ...]], ...] = ()

    @property
    def images(self) -> tuple[Path, ...]:
        """Files that are named as images, of whatever date."""
        return (self.image, *self.more, *(path for _, paths in self.earlier for path in paths))

    def raster(self) -> Scene:
        """Return all files of the scene as one raster."""
        first = scene_at(self.image)
        if not self.more and self.taken is None:
            return first
        files = (*first.files, *(StackFile(path=path) for path in self.more))
        if self.taken is not None:
            files = _of_date(files, self.taken)
        for taken, (path, *more) in self.earlier:
            others = (*scene_at(path).files, *(StackFile(path=one) for one in more))
            files += _of_date(others, taken)
        return Scene(id=self.id, path=self.image, files=files)


def _of_date(files: Iterable[StackFile], taken: date) -> tuple[StackFile, ...]:
    """Return files of one date.

    Raises:
        InputError: they have dates of their own.
    """
    of_date = tuple(replace(file, taken=file.taken or taken) for file in files)
    for file in of_date:
        if file.taken != taken:
            raise InputError(
                f"{shown(file.path)} is of {file.taken} in a stack of dates, but of {taken} by "
                "data.dates: leave one of them out"
            )
    return of_date


def windows_of(text: str, where: str) -> tuple[Window, ...]:
    """Return the windows of a text such as "0 8 4 2; 4 8 4 2": row col height width.

    Args:
        text: the text; empty for none.
        where: what messages blame.

    Raises:
        InputError: it is no such text.
    """
    try:
        return tuple(_window(part) for part in text.split(";") if part.strip())
    except (ValueError, TilingError) as error:
        raise InputError(
            f"{where}: windows {text!r:.60}: give 'row col height width; ...' in whole pixels"
        ) from error


def _window(text: str) -> Window:
    row, col, height, width = (int(number) for number in text.split())
    return Window(row_off=row, col_off=col, height=height, width=width)


def windows_text(windows: Iterable[Window]) -> str:
    """Return windows as the text of a cell.

    Example:
        >>> windows_text([Window(row_off=0, col_off=8, height=4, width=2)])
        '0 8 4 2'
    """
    return "; ".join(f"{w.row_off} {w.col_off} {w.height} {w.width}" for w in windows)
