"""First classes for a folder, guessed from its labels: mask values, or columns of features."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from geohier.config.classes import PALETTE
from geohier.data.labels import count_values
from geohier.errors import LabelError
from geohier.geo.window import row_strips
from geohier.raster.files import shown
from geohier.raster.outlines import is_vector, read_features
from geohier.raster.reader import open_raster

LIKELY_IGNORE = 255
MOST_CLASSES = 100
BACKGROUND = "background"
CLASS_COLUMNS = tuple(
    """
    class class_id class_name classname classvalue label category type landcover land_cover landuse
    land_use species name code value
    """.split()  # noqa: SIM905
)
"""Columns that usually hold the class, the likeliest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassGuess:
    """What the labels of a folder seem to mean.

    Args:
        classes: as a config lists them.
        ignore: label value that means unlabelled.
        found: what the labels hold, for people.
        labels: what a config says about vector labels.
        has_points: some features are points, which need a radius.
    """

    classes: tuple[dict[str, object], ...]
    ignore: int | None
    found: str
    labels: dict[str, object] = field(default_factory=dict)
    has_points: bool = False


def guess_classes(labels: Iterable[Path], folder: Path) -> ClassGuess:
    """Guess the classes of labels, which are all rasters or all vector files.

    Raises:
        LabelError: they do not look like labels, or are of both kinds.
        InputError: one cannot be read.
    """
    paths = list(dict.fromkeys(labels))
    vectors = [path for path in paths if is_vector(path)]
    if not vectors:
        return _of_values(paths, folder)
    if len(vectors) < len(paths):
        other = next(path for path in paths if path not in vectors)
        raise LabelError(
            f"{folder}: {shown(vectors[0])} holds features, {shown(other)} is a raster: keep one "
            "kind of labels"
        )
    return _of_features([(path, read_features(path)) for path in vectors], folder)


def _of_values(masks: Sequence[Path], folder: Path) -> ClassGuess:
    """255 is ignored unless it is one of only two values."""
    values = _mask_values(masks)
    odd = [value for value in values if not value.is_integer()]
    if odd:
        raise LabelError(f"{folder}: masks hold {odd[0]:g}: label values are whole numbers")
    found = sorted(int(value) for value in values)
    ignored = LIKELY_IGNORE not in found or len(found) > 2
    kept = [value for value in found if not (ignored and value == LIKELY_IGNORE)]
    if len(kept) < 2:
        raise LabelError(
            f"{folder}: the masks hold only the value {' '.join(map(str, found))}: "
            "two classes or more are needed"
        )
    counts = ", ".join(f"{value:g} ({count} px)" for value, count in sorted(values.items()))
    return ClassGuess(
        classes=_classes((f"class_{value}", value) for value in kept),
        ignore=LIKELY_IGNORE if ignored else None,
        found=f"label values {counts}. Rename the classes.",
    )


def _mask_values(masks: Sequence[Path]) -> Counter[float]:
    total = Counter[float]()
    for mask in masks:
        with open_raster(mask, allow_ungeoreferenced=True) as source:
            reader = source.select([0], alpha="none")
            for strip in row_strips(*source.geobox.shape):
                total.update(count_values(reader.read(strip).values))
        if len(total) > MOST_CLASSES:
            raise LabelError(
                f"{mask}: the masks hold more than {MOST_CLASSES} values: they look like images, "
                "not like labels of one value per class"
            )
    return total


def _of_features(files: Sequence[tuple[Path, Any]], folder: Path) -> ClassGuess:
    """Classes are the values of a column that is called so; else all features are one class."""
    count = sum(len(frame) for _, frame in files)
    if count == 0:
        raise LabelError(f"{folder}: the labels hold no features: two classes or more are needed")
    columns = _columns([frame for _, frame in files])
    likely = {name: columns[name] for name in CLASS_COLUMNS if name in columns}
    chosen = next((name for name, some in likely.items() if 1 < len(some) <= count / 2), None)
    names = [some[0] for some in likely.values() if len(some) == 1 and isinstance(some[0], str)]
    alone = next((name for name in names if name != BACKGROUND), "object")
    points = any(frame.geom_type.isin(["Point", "MultiPoint"]).any() for _, frame in files)
    described = "; ".join(
        f"{name}: {' '.join(map(str, list(values)[:8]))}{' ...' if len(values) > 8 else ''}"
        for name, values in columns.items()
    )
    found = f"{count} features with the columns {described or '(none)'}. "
    if chosen is None:
        return ClassGuess(
            classes=_classes([(BACKGROUND, 0), (alone, 1)]),
            ignore=LIKELY_IGNORE,
            found=found + "All features are taken for one class, and the ground outside them for "
            "background: name the class; set labels.attribute to a column that holds classes, and "
            "labels.outside to null where not every object is labelled.",
            labels={"outside": BACKGROUND},
            has_points=bool(points),
        )
    return ClassGuess(
        classes=_classes(_named(columns[chosen])),
        ignore=None if LIKELY_IGNORE in columns[chosen] else LIKELY_IGNORE,
        found=found + f"Classes are taken from the column {chosen} (labels.attribute). The ground "
        "that no feature covers is unlabelled: where it is a class, name that in labels.outside.",
        labels={"attribute": chosen},
        has_points=bool(points),
    )


def _columns(frames: Sequence[Any]) -> dict[str, list[int] | list[str]]:
    """Return the distinct values of each column that all files have, if they are few."""
    shared = [
        str(name)
        for name in frames[0].columns
        if name != "geometry" and all(name in frame.columns for frame in frames)
    ]
    values = {name: _distinct([frame[name] for frame in frames]) for name in shared}
    return {name: some for name, some in values.items() if 0 < len(some) <= MOST_CLASSES}


def _distinct(columns: Sequence[Any]) -> list[int] | list[str]:
    """Return whole numbers or texts, rising; none of a column of fractions."""
    seen = {value for column in columns for value in column.dropna().tolist()}
    if any(column.dtype.kind not in "iufb" for column in columns):
        return sorted({str(value) for value in seen if str(value)}, key=_caseless)
    return sorted(map(int, seen)) if all(float(value).is_integer() for value in seen) else []


def _caseless(text: str) -> tuple[str, str]:
    return text.casefold(), text


def _named(values: Sequence[int | str]) -> Iterable[tuple[str, int]]:
    """Return names and label values: texts are names, case apart, and numbers are values."""
    numbers = [value for value in values if isinstance(value, int)]
    if numbers:
        return [(f"class_{value}", value) for value in numbers]
    names = {str(value).casefold(): str(value) for value in values}
    return [(name, at) for at, name in enumerate(names.values(), start=1)]


def _classes(named: Iterable[tuple[str, int]]) -> tuple[dict[str, object], ...]:
    return tuple(
        {"name": name, "values": (value,), "color": PALETTE[at % len(PALETTE)]}
        for at, (name, value) in enumerate(named)
    )
