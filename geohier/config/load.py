"""From YAML files and `--set` options to a checked TrainConfig, and back to YAML.

A config may extend another one: what it states is laid over its parent, key by key; lists and
classes replace the parent's. Every message names the file, or the option, that said it.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from geohier.config.complaints import complaint
from geohier.config.document import parse_value, read_document
from geohier.config.objectives import terms_spelt_out
from geohier.config.schema import TrainConfig
from geohier.errors import ConfigError

DATA_ROOT = "${data_root}"
"""The one interpolation, allowed in data.root only."""

STAND_INS = {"ground": 0, "object": 1}
"""Classes of a config that names none, where no labels are read."""

_ATOMS = ("data.classes", "data.class_tree")
"""Mappings that replace their parent's instead of being laid over it."""


@dataclass(frozen=True, slots=True)
class _Layers:
    """Values laid over each other, and who stated each of them."""

    values: dict[str, object] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)

    def lay(self, values: Mapping[str, object], origin: str) -> None:
        _lay(self.values, terms_spelt_out(values), origin, self.origins, ())


def load_config(
    path: Path,
    overrides: Sequence[str] = (),
    *,
    last: Mapping[str, object] | None = None,
    last_from: str = "",
    needs_classes: bool = True,
) -> TrainConfig:
    """Read a config, its parents and `key=value` overrides, and check all of it.

    `data_root=FOLDER` among the overrides, or else `$GEOHIER_DATA`, fills in ${data_root}.

    Args:
        path: the config.
        overrides: what is laid over it.
        last: values of dotted keys that are laid over all of that.
        last_from: who states these values, for messages.
        needs_classes: whether data.classes must be stated; where no labels are read, two stand in.

    Raises:
        ConfigError: anything about it is wrong; the message names the file and the dotted key.
    """
    layers = _Layers()
    if not needs_classes:
        layers.lay({"data": {"classes": dict(STAND_INS)}}, str(path))
    for file, values in _family(path):
        layers.lay(values, str(file))
    data_root = os.environ.get("GEOHIER_DATA")
    given: set[str] = set()
    for override in overrides:
        key, value = split_override(override)
        if key in given:
            raise ConfigError(f"--set {key} is given twice: give it once")
        given.add(key)
        if key == "data_root":
            data_root = str(value)
        else:
            layers.lay(nested(key, value), f"--set {key}")
    for key, value in (last or {}).items():
        layers.lay(nested(key, value), last_from)
    _fill_in_root(layers, data_root, path)
    return _checked(layers, str(path))


def split_override(text: str) -> tuple[str, object]:
    """Return the dotted key and the typed value of a `key=value` option.

    Example:
        >>> split_override("chips.size_px=256"), split_override("chips.per_epoch=null")
        (('chips.size_px', 256), ('chips.per_epoch', None))
    """
    key, equals, value = text.partition("=")
    if not equals or not all(key.split(".")):
        raise ConfigError(f"--set {text}: give KEY=VALUE, such as chips.size_px=256")
    if key == "data_root":
        return key, value
    return key, parse_value(value, f"--set {key}")


def dump_config(config: TrainConfig) -> str:
    """Return the config as YAML that `load_config` reads back.

    data.root is written as ${data_root}, of other absolute paths the last part alone, and
    weights.file is left out, since weights.sha256 says which they were: a saved config names no
    folder of this machine.
    """
    values = config.model_dump(mode="json")
    _forget_places(values["data"])
    values["data"]["root"] = DATA_ROOT
    values["weights"]["file"] = None
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True)


def config_hash(config: TrainConfig) -> str:
    """Return the SHA-256 of everything in the config that decides what is learnt."""
    return values_hash(deciding_values(config))


def values_hash(values: Mapping[str, object]) -> str:
    """Return the SHA-256 of plain values."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def deciding_values(config: TrainConfig) -> dict[str, object]:
    """Return everything in the config that decides what is learnt, as plain values.

    Where its data and first weights lie and how many processes cut chips do not, nor how a network
    is pretrained: a run notes the hash of the weights that it starts from.
    """
    left_out = {
        "data": {"root"},
        "training": {"workers", "examples", "loggers"},
        "weights": {"file", "name"},
    }
    values = config.model_dump(mode="json", exclude=left_out)
    _forget_places(values["data"])
    del values["pretraining"]
    return values


def leaves(values: object, trail: str = "") -> Iterator[tuple[str, object]]:
    """Yield each value below some values, with its dotted key.

    Example:
        >>> dict(leaves({"chips": {"size_px": 256, "batch_size": 4}}))
        {'chips.size_px': 256, 'chips.batch_size': 4}
    """
    if isinstance(values, Mapping):
        for key, inner in values.items():
            yield from leaves(inner, f"{trail}.{key}" if trail else str(key))
    else:
        yield trail, values


def pretraining_values(config: TrainConfig) -> dict[str, object]:
    """Return everything in the config that decides what is learnt without labels."""
    values = deciding_values(config) | {"pretraining": config.pretraining.model_dump(mode="json")}
    for unread in ("objectives", "curriculum", "fine_tuning"):
        del values[unread]
    return values


def _forget_places(data: dict[str, Any]) -> None:
    """Keep of absolute paths the last part alone."""
    for key in ("train", "val", "catalog", "torchgeo"):
        data[key] = _last_parts(data[key])
    data["labels"]["areas"] = _last_parts(data["labels"]["areas"])


def _last_parts(value: object) -> object:
    match value:
        case str() if Path(value).is_absolute():
            return Path(value).name
        case list():
            return [_last_parts(one) for one in value]
        case dict():
            return {key: _last_parts(one) for key, one in value.items()}
    return value


def _family(path: Path) -> list[tuple[Path, dict[str, object]]]:
    """Return a config's ancestors, eldest first, and the config itself."""
    found: list[tuple[Path, dict[str, object]]] = []
    at: Path | None = path
    while at is not None:
        if any(at.resolve() == known.resolve() for known, _ in found):
            chain = " -> ".join(str(file) for file, _ in found)
            raise ConfigError(f"{path}: extends: goes in a circle: {chain} -> {at}")
        values = read_document(at)
        parent = values.pop("extends", None)
        found.append((at, values))
        at = None if parent is None else _parent(at, parent)
    return found[::-1]


def _parent(path: Path, parent: object) -> Path:
    if not isinstance(parent, str) or Path(parent).is_absolute():
        raise ConfigError(f"{path}: extends: give a path relative to this file, found {parent!r}")
    if not (path.parent / parent).is_file():
        raise ConfigError(f"{path}: extends: there is no file {path.parent / parent}")
    return path.parent / parent


def _lay(
    under: dict[str, object],
    over: Mapping[str, object],
    origin: str,
    origins: dict[str, str],
    trail: tuple[str, ...],
) -> None:
    for key, value in over.items():
        if not isinstance(key, str):
            raise ConfigError(f"{origin}: {'.'.join((*trail, str(key)))}: unknown key")
        here = ".".join((*trail, key))
        below = under.get(key)
        if isinstance(value, dict) and here not in _ATOMS:
            kept = below if isinstance(below, dict) else {}
            under[key] = kept
            _lay(kept, value, origin, origins, (*trail, key))
        else:
            under[key] = value
        if not (isinstance(value, dict) and isinstance(below, dict)):
            origins[here] = origin


def nested(key: str, value: object) -> dict[str, object]:
    """Return the mapping that a value under a dotted key stands for.

    Example:
        >>> nested("chips.size_px", 256)
        {'chips': {'size_px': 256}}
    """
    for part in reversed(key.split(".")):
        value = {part: value}
    assert isinstance(value, dict)
    return value


def _fill_in_root(layers: _Layers, data_root: str | None, path: Path) -> None:
    """Make data.root a real path: fill in ${data_root}, start relative ones at their file."""
    _refuse_interpolation(layers.values, layers.origins, str(path), ())
    data = layers.values.setdefault("data", {})
    if not isinstance(data, dict) or not isinstance(data.get("root", "."), str):
        return  # the check says what is wrong with it
    root = str(data.get("root", "."))
    origin = layers.origins.get("data.root", str(path))
    if DATA_ROOT in root and not data_root:
        raise ConfigError(
            f"{origin}: data.root: {root} needs the folder of the data: "
            "pass --set data_root=FOLDER or set GEOHIER_DATA"
        )
    stated_by_file = not origin.startswith("--set") and DATA_ROOT not in root
    start = Path(origin).parent if stated_by_file else Path()
    data["root"] = str(start / root.replace(DATA_ROOT, data_root or ""))


def _refuse_interpolation(
    value: object, origins: Mapping[str, str], origin: str, trail: tuple[str, ...]
) -> None:
    here = ".".join(trail)
    origin = origins.get(here, origin)
    if isinstance(value, Mapping):
        for key, inner in value.items():
            _refuse_interpolation(inner, origins, origin, (*trail, str(key)))
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            _refuse_interpolation(inner, origins, origin, (*trail, str(at)))
    elif isinstance(value, str):
        rest = value.replace(DATA_ROOT, "") if here == "data.root" else value
        if "${" in rest:
            raise ConfigError(
                f"{origin}: {here}: {value!r}: only {DATA_ROOT} is filled in, and only in data.root"
            )


def _checked(layers: _Layers, name: str) -> TrainConfig:
    try:
        return TrainConfig.model_validate(layers.values)
    except ValidationError as error:
        raise ConfigError(complaint(error, layers.origins, name)) from error
