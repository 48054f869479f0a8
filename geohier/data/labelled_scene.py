"""One scene with its labels and its split, as every catalogue lists it."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from geohier.data.scene import Scene, scene_at
from geohier.errors import InputError, TilingError
from geohier.geo.window import Window
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
    """

    id: str
    image: Path
    mask: Path
    split: Split
    more: tuple[Path, ...] = ()
    windows: tuple[Window, ...] = ()

    def raster(self) -> Scene:
        """Return all files of the scene as one raster."""
        first = scene_at(self.image)
        if not self.more:
            return first
        files = (*first.files, *(StackFile(path=path) for path in self.more))
        return Scene(id=self.id, path=self.image, files=files)


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
