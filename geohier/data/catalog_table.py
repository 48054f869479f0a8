"""Labelled scenes from a table: CSV, or the attributes of a GeoPackage of footprints.

Columns: scene (or id), split, image, mask (or label), and windows, "row col height width; ...",
where only parts of a scene are in a split. The config may name others. Paths start at the table.

Where the config says which columns name the place and the date of an image, a scene is a row with
all rows of the same place and an earlier date, of whatever split: a map is one of the newest date.
"""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path

from geohier.config.schema import DataConfig
from geohier.config.sources import DatesConfig
from geohier.data.catalog_names import find_name, split_of
from geohier.data.labelled_scene import LabelledScene, windows_of
from geohier.errors import InputError
from geohier.geo.dates import newest_first, read_date
from geohier.raster.files import local_file, shown
from geohier.raster.outlines import is_vector, read_attributes

type Row = tuple[str, Mapping[str, str]]
"""Where a row stands, for messages, and its cells by column."""


UNLABELLED = (
    "; images without labels are for `geohier pretrain` and `geohier data check --unlabelled`"
)


def read_table(path: Path, config: DataConfig) -> Iterator[LabelledScene]:
    """Yield the scenes of a table that are in train or val; other splits are left out.

    Raises:
        InputError: the file cannot be read, lacks a column, or a row has an empty cell.
    """
    names, rows = _features(path) if is_vector(path) else _lines(path)
    wanted = (config.splits.column, *config.image_columns, config.labels.column)
    if config.dates is not None:
        wanted += (config.dates.place, config.dates.date)
    columns = [find_name(name, names) for name in wanted]
    missing = [name for name, found in zip(wanted, columns, strict=True) if found is None]
    if missing:
        alone = missing == [config.labels.column]
        raise InputError(
            f"{shown(path)}: no column {' '.join(missing)} among {' '.join(names)}: "
            f"the columns are {' '.join(('scene', *wanted))}{UNLABELLED if alone else ''}"
        )
    split, *files = (str(name) for name in columns[: len(config.image_columns) + 2])
    scene = find_name("scene", names)
    stacks = _Stacks(rows, files[:-1], path.parent, config.dates)
    for where, cells in rows:
        found = split_of(cells[split], config.splits)
        if found is not None:
            image, *more, mask = _paths(cells, files, path.parent, where)
            yield from stacks.with_earlier(
                where,
                cells,
                LabelledScene(
                    id=(cells[scene] if scene else "") or image.stem,
                    image=image,
                    more=tuple(more),
                    mask=mask,
                    split=found,
                    windows=windows_of(cells.get("windows", ""), where),
                ),
            )


class _Stacks:
    """Finds the earlier images of a place.

    Args:
        rows: of the table.
        columns: those of the images.
        folder: where their paths start.
        config: which columns name place and date; None for scenes of one date.

    Raises:
        InputError: a row has no place or no date, or a place has two images of one date.
    """

    def __init__(
        self, rows: list[Row], columns: list[str], folder: Path, config: DatesConfig | None
    ) -> None:
        self.config = config
        self.found: dict[str, dict[date, tuple[Path, ...]]] = {}
        for where, cells in rows if config is not None else ():
            place, taken = self._key(where, cells)
            of_place = self.found.setdefault(place, {})
            if taken in of_place:
                raise InputError(
                    f"{where}: place {place} has two images of {taken}: keep one, or give days"
                )
            of_place[taken] = _paths(cells, columns, folder, where)

    def with_earlier(
        self, where: str, cells: Mapping[str, str], scene: LabelledScene
    ) -> Iterator[LabelledScene]:
        """Yield the scene with the earlier images of its place; nothing if they are too few."""
        if self.config is None:
            yield scene
            return
        place, taken = self._key(where, cells)
        dates = [day for day in newest_first(self.found[place]) if day <= taken]
        if len(dates) >= self.config.least:
            earlier = ((day, self.found[place][day]) for day in dates[1 : self.config.most])
            yield replace(scene, taken=taken, earlier=tuple(earlier))

    def _key(self, where: str, cells: Mapping[str, str]) -> tuple[str, date]:
        assert self.config is not None
        place, written = cells[self.config.place], cells[self.config.date]
        if not place:
            raise InputError(f"{where}: {self.config.place} is empty: fill it in")
        try:
            return place, read_date(written)
        except ValueError as error:
            raise InputError(f"{where}: {self.config.date}: {error}") from error


def _paths(
    cells: Mapping[str, str], columns: list[str], folder: Path, where: str
) -> tuple[Path, ...]:
    empty = [name for name in columns if not cells[name]]
    if empty:
        raise InputError(f"{where}: {' '.join(empty)} is empty: fill it in")
    return tuple(folder / cells[name] for name in columns)


def _lines(path: Path) -> tuple[list[str], list[Row]]:
    try:
        text = local_file(path).read_text(encoding="utf-8-sig")
        table = csv.DictReader(text.splitlines(), restval="")
        rows: list[Row] = [(f"{shown(path)}: line {table.line_num}", row) for row in table]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{shown(path)}: cannot be read as text: {error}") from error
    return list(table.fieldnames or ()), rows


def _features(path: Path) -> tuple[list[str], list[Row]]:
    names, rows = read_attributes(path)
    return names, [(f"{shown(path)}: feature {at}", row) for at, row in enumerate(rows, start=1)]
