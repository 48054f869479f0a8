"""YAML documents, read so that a hostile one can do nothing: no tags, no aliases, no surprises."""

from collections.abc import Hashable
from pathlib import Path

import yaml

from geohier.errors import ConfigError

LARGEST_BYTES = 1_000_000
"""A config is written by hand: what is larger is something else."""


_KINDS = {str: "text", list: "a list", bool: "yes or no", int: "a number", float: "a number"}


class _PlainLoader(yaml.SafeLoader):
    """SafeLoader that also refuses aliases, tags and keys that stand twice."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent):
            raise _refusal(event, f"alias *{event.anchor}: write the value out")
        if isinstance(event, yaml.NodeEvent) and getattr(event, "tag", None):
            raise _refusal(event, "a tag (!...): only plain values are read")
        return super().compose_node(parent, index)

    def construct_mapping(
        self, node: yaml.MappingNode, deep: bool = False
    ) -> dict[Hashable, object]:
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, Hashable) and key in seen:
                raise _refusal(key_node, f"key {key} stands twice: keep one")
            seen.add(key)
        return super().construct_mapping(node, deep)


def _refusal(at: yaml.Node | yaml.Event, problem: str) -> yaml.YAMLError:
    line = f"line {at.start_mark.line + 1}: " if at.start_mark else ""
    return yaml.YAMLError(f"{line}{problem}")


def read_document(path: Path) -> dict[str, object]:
    """Read a YAML file that holds a mapping.

    Raises:
        ConfigError: the file cannot be read, is too large, is no YAML, or holds something else.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST_BYTES + 1)
        text = raw.decode("utf-8")
    except IsADirectoryError as error:
        raise ConfigError(f"{path}: is a folder: give a YAML file") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is no UTF-8 text: give a YAML file") from error
    if len(raw) > LARGEST_BYTES:
        raise ConfigError(f"{path}: is larger than {LARGEST_BYTES} bytes: give a YAML config")
    found = parse_value(text, str(path))
    if found is None:
        return {}
    if not isinstance(found, dict):
        kind = _KINDS.get(type(found), "a value")
        raise ConfigError(f"{path}: holds {kind}: give keys and values")
    return found


def parse_value(text: str, name: str) -> object:
    """Return the value that a YAML text stands for; `name` says in messages where it came from.

    Example:
        >>> parse_value("{a: [1, 2.5, yes]}", "--set")
        {'a': [1, 2.5, True]}
    """
    try:
        return yaml.load(text, Loader=_PlainLoader)
    except yaml.MarkedYAMLError as error:
        line = f" line {error.problem_mark.line + 1}:" if error.problem_mark else ""
        raise ConfigError(f"{name}:{line} {_one_line(error.problem)}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{name}: {_one_line(str(error))}") from error
    except RecursionError as error:
        raise ConfigError(f"{name}: is nested too deeply for a config") from error
    except ValueError as error:  # dates such as 2024-13-45
        raise ConfigError(f"{name}: {_one_line(str(error))}") from error


def _one_line(text: str | None) -> str:
    return " ".join((text or "is no YAML").split())
