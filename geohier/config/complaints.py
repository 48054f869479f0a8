"""What pydantic found wrong with a config, said in one line that names the file and the key."""

import difflib
from collections.abc import Mapping
from typing import get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from geohier.config.schema import TrainConfig


def complaint(error: ValidationError, origins: Mapping[str, str], name: str) -> str:
    """Return the first finding, such as `a.yaml: chips.sise: unknown key; did you mean size_px?`.

    Args:
        error: what pydantic raised for a TrainConfig.
        origins: file or option that stated each dotted key.
        name: file to blame for what nobody stated.
    """
    findings = error.errors()
    first = min(findings, key=lambda one: one["type"] != "extra_forbidden")
    trail = tuple(first["loc"])
    more = len(findings) - 1
    tail = f" (and {more} more {'mistake' if more == 1 else 'mistakes'})" if more else ""
    dotted = ".".join(str(part) for part in trail)
    where = f"{dotted}: " if dotted else ""
    return f"{_origin(trail, origins, name)}: {where}{_said(first, trail)}{tail}"


def _origin(trail: tuple[int | str, ...], origins: Mapping[str, str], name: str) -> str:
    for length in range(len(trail), 0, -1):
        known = origins.get(".".join(str(part) for part in trail[:length]))
        if known:
            return known
    return name


def _said(finding: ErrorDetails, trail: tuple[int | str, ...]) -> str:
    match finding["type"]:
        case "extra_forbidden":
            near = difflib.get_close_matches(str(trail[-1]), _keys(trail[:-1]), n=1, cutoff=0.5)
            return f"unknown key; did you mean {near[0]}?" if near else "unknown key"
        case "missing":
            return "is missing: it has no default"
        case "model_type":
            return f"give keys and values, found {finding['input']!r:.60}"
        case "value_error":
            return str(finding["ctx"]["error"])
        case _:
            message = finding["msg"][0].lower() + finding["msg"][1:]
            return f"{message}, found {finding['input']!r:.60}"


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
