"""Labelled scenes from a table: CSV, or the attributes of a GeoPackage of footprints.

Columns: scene (or id), split, image, mask (or label), and windows, "row col height width; ...",
where only parts of a scene are in a split. The config may name others. Paths start at the table.
"""

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path

from geohier.config.schema import DataConfig
from geohier.data.catalog_names import find_name, split_of
from geohier.data.labelled_scene import LabelledScene, windows_of
from geohier.errors import InputError
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
    columns = [find_name(name, names) for name in wanted]
    missing = [name for name, found in zip(wanted, columns, strict=True) if found is None]
    if missing:
        alone = missing == [config.labels.column]
        raise InputError(
            f"{shown(path)}: no column {' '.join(missing)} among {' '.join(names)}: "
            f"the columns are {' '.join(('scene', *wanted))}{UNLABELLED if alone else ''}"
        )
    split, *files = (str(name) for name in columns)
    scene = find_name("scene", names)
    for where, cells in rows:
        found = split_of(cells[split], config.splits)
        if found is not None:
            image, *more, mask = _paths(cells, files, path.parent, where)
            yield LabelledScene(
                id=(cells[scene] if scene else "") or image.stem,
                image=image,
                more=tuple(more),
                mask=mask,
                split=found,
                windows=windows_of(cells.get("windows", ""), where),
            )


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
