"""Classes in a config: how the short spellings become a list of classes."""

from collections.abc import Iterable, Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

PALETTE = (
    "#d9d9d9",
    "#d73027",
    "#1a9850",
    "#4575b4",
    "#fee08b",
    "#984ea3",
    "#ff7f00",
    "#a65628",
    "#66c2a5",
    "#f781bf",
)
"""Colours of classes that name none, in class order: the first is a quiet ground."""

type Color = Annotated[str, Field(pattern=r"^#[0-9a-fA-F]{6}$")]
type LabelValues = Annotated[tuple[int, ...], Field(min_length=1)]


class ClassConfig(BaseModel):
    """One class of a model."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    name: Annotated[str, Field(min_length=1)]
    """Name of the class."""
    values: LabelValues
    """Label values that stand for the class in the masks."""
    color: Color
    """Colour as #rrggbb; one of a fixed palette where left out."""


class ClassDetails(BaseModel):
    """A class whose name stands before it, as a config may give it."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    values: int | LabelValues
    """Label values that stand for the class in the masks."""
    color: Color | None = None
    """Colour as #rrggbb."""


type ClassesInput = dict[int, str] | dict[str, int | LabelValues | ClassDetails] | list[ClassConfig]
"""What a config may give: label value to name, name to label values, or the full list."""


def read_classes(given: object) -> object:
    """Return the full list of classes behind any of the spellings.

    Raises:
        ValueError: the spellings are mixed, or a label value or a name stands twice.

    Example:
        >>> [one["values"] for one in read_classes({"ground": 0, "building": [1, 2]})]
        [(0,), (1, 2)]
    """
    if isinstance(given, Mapping):
        given = _from_mapping(given)
    if not isinstance(given, list | tuple):
        message = "give names with their label values, as in {ground: 0, building: 1}"
        raise ValueError(f"{message}, found {given!r}")  # noqa: TRY004 - as below
    entries = [one.model_dump() if isinstance(one, ClassConfig) else one for one in given]
    if not all(isinstance(one, Mapping) for one in entries):
        return entries
    filled = [{"color": PALETTE[at % len(PALETTE)], **one} for at, one in enumerate(entries)]
    _refuse_twice("name", [one.get("name") for one in filled])
    _refuse_twice("label value", [value for one in filled for value in _many(one.get("values"))])
    return filled


def _from_mapping(given: Mapping[object, object]) -> list[dict[str, object]]:
    if all(type(key) is int for key in given):
        return _by_name((name, value) for value, name in given.items())
    if not all(isinstance(key, str) for key in given):
        odd = next(key for key in given if not isinstance(key, str))
        raise ValueError(
            f"class {odd!r} among {list(given)}: use either names or label values before the "
            "colons, and quote names such as 'no' and 'yes'"
        )
    return [_entry(name, value) for name, value in given.items()]


def _by_name(pairs: Iterable[tuple[object, object]]) -> list[dict[str, object]]:
    """Gather the label values of each name, in the order in which the names appear."""
    values: dict[object, list[object]] = {}
    for name, value in pairs:
        if not isinstance(name, str):
            message = f"class name {name!r} of label value {value} is no text: quote it"
            raise ValueError(message)  # noqa: TRY004 - pydantic gathers only ValueErrors
        values.setdefault(name, []).append(value)
    return [{"name": name, "values": tuple(found)} for name, found in values.items()]


def _entry(name: object, details: object) -> dict[str, object]:
    if not isinstance(details, Mapping):
        return {"name": name, "values": _many(details)}
    if "values" not in details:
        return {**details, "name": name}
    return {**details, "name": name, "values": _many(details["values"])}


def _many(values: object) -> tuple[object, ...]:
    return tuple(values) if isinstance(values, list | tuple) else (values,)


def _refuse_twice(what: str, found: list[object]) -> None:
    for at, one in enumerate(found):
        if one in found[:at]:
            raise ValueError(f"{what} {one} stands for two classes: give it to one")
