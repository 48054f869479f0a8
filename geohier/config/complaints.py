"""What pydantic found wrong with a config, said in one line that names the file and the key."""

import difflib
import json
from collections.abc import Mapping
from typing import get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from geohier.config.schema import TrainConfig

MENDED_FIRST = {"extra_forbidden": 0, "missing": 2, "too_short": 3}
"""Which of several findings is told: misspelt keys explain missing ones, and bad entries are left
out of the list that is then too short; others come second."""

WANTED = {
    "tuple_type": "give a list, such as [a, b]",
    "list_type": "give a list, such as [a, b]",
    "dict_type": "give keys and values",
    "model_type": "give keys and values",
    "int_type": "give a whole number",
    "int_parsing": "give a whole number",
    "int_from_float": "give a whole number",
    "float_type": "give a number",
    "float_parsing": "give a number",
    "finite_number": "give a finite number",
    "bool_type": "give true or false",
    "bool_parsing": "give true or false",
    "string_type": "give a text",
    "path_type": "give a path",
    "literal_error": "give {expected}",
    "multiple_of": "give a multiple of {multiple_of}",
    "greater_than": "give a number above {gt:g}",
    "greater_than_equal": "give {ge:g} or more",
    "less_than": "give a number below {lt:g}",
    "less_than_equal": "give {le:g} or less",
}
"""What is to be given, by pydantic's type of a finding; its own words are for programmers."""

FORMS = {
    "^#[0-9a-fA-F]{6}$": "a colour as #rrggbb",
    "^[0-9a-f]{64}$": "a SHA-256 of 64 hexadecimal digits",
}
"""What texts of a pattern are."""

OPTION = "--set "
"""How options that state a key are called among origins."""

UNION_MEMBERS = ("str", "int", "float", "bool", "constrained-int", "constrained-str")
"""What pydantic adds to the place of a finding where a value may be of several types."""


def complaint(error: ValidationError, origins: Mapping[str, str], name: str) -> str:
    """Return the first finding, such as `a.yaml: chips.sise: unknown key; did you mean size_px?`.

    Args:
        error: what pydantic raised for a TrainConfig.
        origins: file or option that stated each dotted key.
        name: file to blame for what nobody stated.
    """
    findings = error.errors()
    first = to_mend_first(error)
    trail = place(first)
    more = len(findings) - 1
    tail = f" (and {more} more {'mistake' if more == 1 else 'mistakes'})" if more else ""
    return f"{_blamed(trail, origins, name)}: {_said(first, trail)}{tail}"


def to_mend_first(error: ValidationError) -> ErrorDetails:
    """Return the finding that explains most."""
    return min(error.errors(), key=lambda one: MENDED_FIRST.get(one["type"], 1))


def place(finding: ErrorDetails) -> tuple[int | str, ...]:
    """Return the keys and numbers that lead to what is wrong."""
    return tuple(
        part
        for part in finding["loc"]
        if isinstance(part, int) or not (part in UNION_MEMBERS or "[" in part)
    )


def _blamed(trail: tuple[int | str, ...], origins: Mapping[str, str], name: str) -> str:
    """Return who stated what is wrong, and the key, unless that says it already.

    A rule between keys that a file alone does not break is blamed on the options beside it.
    """
    dotted, origin = ".".join(str(part) for part in trail), _origin(trail, origins, name)
    if origin.startswith(OPTION):
        stated = origin.removeprefix(OPTION)
        return origin if f"{stated}.".startswith(f"{dotted}.") else f"{origin}: {dotted}"
    options = [
        one
        for key, one in origins.items()
        if one.startswith(OPTION) and (not dotted or f"{key}.".startswith(f"{dotted}."))
    ]
    whole = ", ".join(dict.fromkeys(options))
    blamed = f"{origin} with {whole}" if options else origin
    return f"{blamed}: {dotted}" if dotted else blamed


def _origin(trail: tuple[int | str, ...], origins: Mapping[str, str], name: str) -> str:
    for length in range(len(trail), 0, -1):
        known = origins.get(".".join(str(part) for part in trail[:length]))
        if known:
            return known
    return name


def _said(finding: ErrorDetails, trail: tuple[int | str, ...]) -> str:
    if finding["type"] != "extra_forbidden":
        return in_words(finding)
    near = difflib.get_close_matches(str(trail[-1]), _keys(trail[:-1]), n=1, cutoff=0.5)
    return f"unknown key; did you mean {near[0]}?" if near else "unknown key"


def in_words(finding: ErrorDetails) -> str:
    """Return what is wrong with a value in the words of those who write configs."""
    kind, found = finding["type"], f"found {_as_json(finding['input']):.60}"
    match kind:
        case "missing":
            return "is missing: it has no default"
        case "value_error":
            return str(finding["ctx"]["error"])
        case "string_pattern_mismatch":
            pattern = finding["ctx"]["pattern"]
            return f"give {FORMS.get(pattern, f'a text that fits {pattern}')}, {found}"
        case "too_short" | "too_long":
            form = "{min_length} or more" if kind == "too_short" else "{max_length} or fewer"
            return f"give {form}, found {{actual_length}}".format_map(finding["ctx"])
        case _ if kind in WANTED:
            return f"{WANTED[kind].format_map(finding.get('ctx', {}))}, {found}"
        case _:
            return f"{finding['msg'][0].lower()}{finding['msg'][1:]}, {found}"


def _as_json(value: object) -> str:
    return json.dumps(value, default=str, skipkeys=True)  # YAML has dates, as keys too


def _keys(trail: tuple[int | str, ...]) -> list[str]:
    """Return the keys that a config knows at a place."""
    model: type[BaseModel] = TrainConfig
    for part in trail:
        if part in model.model_fields:
            model = _model_in(model.model_fields[str(part)].annotation) or model
    return list(model.model_fields)


def _model_in(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_model_in, get_args(annotation))), None)
