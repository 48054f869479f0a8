"""A config as commented YAML, made from the schema's descriptions so that both always agree."""

import json
import textwrap
from pathlib import Path

import yaml

from geohier.config.classes import ClassConfig
from geohier.config.schema import DataConfig, TrainConfig
from geohier.config.section import Section

COMMENT_WIDTH = 96
LINE_WIDTH = 100

EXAMPLE = TrainConfig(
    data=DataConfig.model_validate({"root": Path(), "classes": {"background": 0, "object": 1}})
)
"""All defaults, over classes that a user will replace."""


def commented_config(config: TrainConfig, head: str = "") -> str:
    """Return a config as YAML with a comment above each key; `load_config` reads it back.

    Args:
        config: what to write.
        head: text above everything, as comment lines.
    """
    lines = _comment(head, "") if head else []
    for name, field in TrainConfig.model_fields.items():
        value = getattr(config, name)
        lines += ["", *_comment(field.description or "", "")]
        is_section = isinstance(value, Section)
        lines += [f"{name}:", *_section(value)] if is_section else [f"{name}: {_flow(value)}"]
    return "\n".join(lines).lstrip("\n") + "\n"


def config_schema() -> str:
    """Return the JSON schema of a config, for editors that complete and check YAML."""
    return json.dumps(TrainConfig.model_json_schema(), indent=2)


def _section(section: Section, indent: str = "  ") -> list[str]:
    """Return the keys of a section; a section in it that is too long for one line is explained."""
    values = section.model_dump(mode="json")
    lines: list[str] = []
    for name, field in type(section).model_fields.items():
        lines += _comment(field.description or "", indent)
        value, line = getattr(section, name), f"{indent}{name}: {_flow(values[name])}"
        if isinstance(section, DataConfig) and name == "classes":
            lines += _classes(section.classes)
        elif isinstance(value, Section) and len(line) > LINE_WIDTH:
            lines += [f"{indent}{name}:", *_section(value, indent + "  ")]
        else:
            lines.append(line)
    return lines


def _classes(classes: tuple[ClassConfig, ...]) -> list[str]:
    lines = ["  classes:"]
    for one in classes:
        values = one.values[0] if len(one.values) == 1 else list(one.values)
        details = _flow({"values": values, "color": one.color})
        lines.append(f"    {_flow(one.name)}: {details}")
    return lines


def _flow(value: object) -> str:
    """Return a value as one line of YAML."""
    text = yaml.safe_dump(
        value, default_flow_style=True, width=10**9, allow_unicode=True, sort_keys=False
    )
    return text.removesuffix("\n").removesuffix("\n...")


def _comment(text: str, indent: str) -> list[str]:
    width = COMMENT_WIDTH - len(indent)
    return [f"{indent}# {line}" for line in textwrap.wrap(" ".join(text.split()), width)]
