"""What `geohier ablate` compares: variants, each a few values that differ from the config's.

A file of axes has a list of values under a key of the config, each of which is a variant; or, under
any name, the values of one variant:

    model.decoder: [unet, hierarchy]
    narrow: {model.pyramid_channels: 64, model.segmentation_channels: 32}
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

from geohier.config.document import parse_value, read_document
from geohier.config.search import text_of
from geohier.errors import ConfigError

BASELINE = "baseline"
"""What the config itself is called among the variants."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One way in which a config is changed.

    Args:
        name: what tables call it.
        values: by key of the config, dotted or nested.
        origin: who stated it, for messages.
        is_named: whether it has a name of its own, rather than that of its values.
    """

    name: str
    values: Mapping[str, object] = field(hash=False)
    origin: str
    is_named: bool = False

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """A key of the config and the values that it takes."""

    key: str
    values: tuple[object, ...]
    origin: str

    def __iter__(self) -> Iterator[Variant]:
        for value in self.values:
            yield Variant(
                name=f"{self.key}={text_of(value)}", values={self.key: value}, origin=self.origin
            )


def read_variants(axes: Sequence[str], *, grid: bool = False) -> tuple[Variant, ...]:
    """Read what is to be compared with the config as it is.

    Args:
        axes: files of axes and variants, and axes such as `model.decoder=fpn,unet`.
        grid: take each value of an axis with each of the others, not each on its own.

    Raises:
        ConfigError: a file cannot be read, an axis has no value or one twice, a name is taken.
    """
    stated = [one for text in axes for one in _read(text)]
    found = [one for one in stated if isinstance(one, Axis)]
    _check_once([one.key for one in found])
    alone = [variant for axis in found for variant in axis]
    variants = _crossed(found) if grid else alone
    variants += [one for one in stated if isinstance(one, Variant)]
    if not variants:
        raise ConfigError("--axes hold no variant: give values of a key, such as a.b=1,2")
    _check_once([BASELINE, *(one.name for one in variants)])
    return tuple(variants)


def _crossed(axes: Sequence[Axis]) -> list[Variant]:
    if not axes:
        return []
    return [
        Variant(
            name=", ".join(one.name for one in chosen),
            values={key: value for one in chosen for key, value in one.values.items()},
            origin=" and ".join(dict.fromkeys(one.origin for one in chosen)),
        )
        for chosen in product(*axes)
    ]


def _read(text: str) -> list[Axis | Variant]:
    key, equals, values = text.partition("=")
    if Path(text).suffix.lower() in (".yaml", ".yml") and not equals:
        stated = read_document(Path(text))
        return [_entry(text, name, value) for name, value in stated.items()]
    if not equals or not all(key.split(".")):
        raise ConfigError(
            f"--axes {text}: give a YAML file, or KEY=VALUE,VALUE such as model.decoder=fpn,unet"
        )
    origin = f"--axes {key}"
    return [_axis(origin, key, parse_value(f"[{values}]", origin))]


def _entry(origin: str, name: object, stated: object) -> Axis | Variant:
    if not isinstance(name, str):  # such as no, or null
        raise ConfigError(f"{origin}: {name}: is no text: put names in quotes")
    if isinstance(stated, dict):
        if not stated or not all(isinstance(key, str) for key in stated):
            raise ConfigError(f"{origin}: {name}: give the variant keys of the config and values")
        return Variant(name=name, values=stated, origin=f"{origin}: {name}", is_named=True)
    return _axis(origin, name, stated)


def _axis(origin: str, key: str, stated: object) -> Axis:
    if not isinstance(stated, list) or not stated:
        raise ConfigError(
            f"{origin}: {key}: give a list of values, or for a variant of this name "
            f"{{key: value}}, found {text_of(stated):.60}"
        )
    texts = [text_of(value) for value in stated]
    twice = next((text for text in texts if texts.count(text) > 1), None)
    if twice is not None:
        raise ConfigError(f"{origin}: {key}: {twice:.60} stands twice: give each value once")
    return Axis(key=key, values=tuple(stated), origin=origin)


def _check_once(names: Sequence[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            taken = "the config as it is" if name == BASELINE else "another"
            raise ConfigError(f"--axes: {name} is the name of {taken}: give each name once")
