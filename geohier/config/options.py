"""What a section of the config may say, read off its schema: keys, values, defaults, meanings."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from geohier.config.search import text_of
from geohier.config.section import Section

NUMBERS = {"integer": "whole number", "number": "number"}
BOUNDS = (
    ("minimum", "from {}"),
    ("exclusiveMinimum", "above {}"),
    ("maximum", "to {}"),
    ("exclusiveMaximum", "below {}"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One key of the config.

    Args:
        key: dotted.
        values: the values that it takes, if they are few; else none.
        form: the values in words.
        default: what holds where nothing is said.
        meaning: what the config says of it.
    """

    key: str
    values: tuple[object, ...]
    form: str
    default: object
    meaning: str


def options_of(section: type[Section], trail: str) -> Iterator[Option]:
    """Yield the keys of a section and of those in it, in their order.

    Args:
        section: the section.
        trail: its own dotted key.

    Example:
        >>> from geohier.config.training import TrainingConfig
        >>> found = {one.key: one for one in options_of(TrainingConfig, "training")}
        >>> found["training.average"].values, found["training.average"].default
        (('ema', 'swa'), 'ema')
        >>> found["training.choose_share"].form
        'number above 0 below 1'
    """
    schema = section.model_json_schema()
    yield from _keys(schema, schema.get("$defs", {}), trail)


def _keys(
    schema: Mapping[str, Any], shared: Mapping[str, Any], trail: str, given: object = None
) -> Iterator[Option]:
    defaults = given if isinstance(given, Mapping) else {}
    for name, stated in schema["properties"].items():
        key, about = f"{trail}.{name}", _resolved(stated, shared)
        default = defaults.get(name, about.get("default"))
        if "properties" in about:
            yield from _keys(about, shared, key, default)
            continue
        values = _values(about, shared)
        yield Option(
            key=key,
            values=values,
            form=", ".join(map(text_of, values)) or _in_words(about, shared),
            default=default,
            meaning=" ".join(about.get("description", "").split()),
        )


def _resolved(stated: Mapping[str, Any], shared: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schema with what it refers to; its own words come first."""
    name = stated.get("$ref", "").rpartition("/")[2]
    return {**(shared[name] if name else {}), **stated}


def _values(about: Mapping[str, Any], shared: Mapping[str, Any]) -> tuple[object, ...]:
    """Return the values of a choice."""
    if "anyOf" in about:
        each = [_values(_resolved(one, shared), shared) for one in about["anyOf"]]
        return tuple(value for one in each for value in one) if all(each) else ()
    match about:
        case {"enum": list(values)}:
            return tuple(values)
        case {"const": value}:
            return (value,)
        case {"type": "boolean"}:
            return (False, True)
        case {"type": "null"}:
            return (None,)
    return ()


def _in_words(about: Mapping[str, Any], shared: Mapping[str, Any]) -> str:
    if "anyOf" in about:
        each = [_resolved(one, shared) for one in about["anyOf"]]
        return " or ".join(
            ", ".join(map(text_of, _values(one, shared))) or _in_words(one, shared) for one in each
        )
    kind = about.get("type")
    if kind == "array":
        inner = _resolved(about.get("items", {}), shared)
        named = ", ".join(map(text_of, _values(inner, shared))) or _in_words(inner, shared)
        return f"list: {named}" if named else "list"
    if kind in NUMBERS:
        bounds = [text.format(f"{about[key]:g}") for key, text in BOUNDS if key in about]
        return " ".join([NUMBERS[kind], *bounds])
    return {"string": "text", "object": "keys and values"}.get(str(kind), "")
