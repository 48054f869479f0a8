"""What `geohier tune` may change in a config: ranges and lists of values, by dotted key.

    training.learning_rate: {low: 1e-4, high: 1e-2, log: true}
    chips.batch_size: {low: 2, high: 16, step: 2}
    model.encoder: [resnet18, resnet10t]

What judges a trial may not be searched: the best score would be that of the easiest judge.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import yaml
from pydantic import PositiveFloat, ValidationError, model_validator

from geohier.config.complaints import in_words, place, to_mend_first
from geohier.config.document import read_document
from geohier.config.load import load_config
from geohier.config.section import Section
from geohier.errors import ConfigError

FREE = ("data.bands", "data.normalise", "data.dates.most")
NOTHING = "changes nothing that a trial learns"

JUDGING = {
    "data": "changes which ground judges a trial, or its classes",
    "model.downsample": "changes the pixels that judge a trial",
    "training.seed": "shares out other choose blocks, and the luckiest draw is no better config",
    "training.choose_share": "changes which ground judges a trial",
    "training.block_px": "changes which ground judges a trial",
    "training.buffer_px": "changes which ground judges a trial",
}
"""Keys, and all below them but the free ones, with which scores cannot be compared."""

FIXED = {
    **JUDGING,
    "training.processes": "is 1 in a search: each trial is watched from one process",
    "training.workers": NOTHING,
    "training.examples": NOTHING,
    "training.loggers": NOTHING,
    "pretraining": NOTHING,
}
"""Those, and keys with which they need not be compared."""


class _Range(Section):
    low: float
    high: float
    log: bool = False
    step: PositiveFloat | None = None

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"low is {self.low:g}, high {self.high:g}: give a low below the high")
        if self.log and self.low <= 0:
            raise ValueError(f"log needs a low above 0, found {self.low:g}")
        if self.log and self.step is not None:
            raise ValueError("log and step do not go together: keep one")
        if self.step is not None and _is_off_step(self.high - self.low, self.step):
            raise ValueError(
                f"steps of {self.step:g} from {self.low:g} do not end at {self.high:g}: change high"
            )
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """A range of numbers, both ends included.

    Args:
        key: dotted key of the config.
        low: smallest value.
        high: largest value.
        log: whether ratios count, not differences, as for learning rates.
        step: distance of the values from each other; None for all of them.
        whole: whether only whole numbers are meant.
    """

    key: str
    low: float
    high: float
    log: bool
    step: float | None
    whole: bool

    def typed(self, value: float) -> float:
        """Return a value as the config has it."""
        return int(value) if self.whole else float(value)

    def holds(self, value: object) -> bool:
        """Return whether a value is in the range, and on its steps."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        on_step = self.step is None or not _is_off_step(value - self.low, self.step)
        return self.low <= value <= self.high and on_step


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """A list of values, each known by its text: values may be lists, or null.

    Example:
        >>> Choices(key="augment.scale", values=([0.8, 1.25], [1, 1])).texts
        ('[0.8, 1.25]', '[1, 1]')
    """

    key: str
    values: tuple[object, ...]

    @property
    def texts(self) -> tuple[str, ...]:
        """What the values are called."""
        return tuple(text_of(value) for value in self.values)


type Parameter = Numbers | Choices
type Load = Callable[[object], None]


def read_space(path: Path, config: Path, overrides: Sequence[str] = ()) -> tuple[Parameter, ...]:
    """Read a search space and see that the config takes every end and every choice of it.

    Args:
        path: YAML of dotted keys.
        config: the config that is searched around.
        overrides: `key=value`, laid over the config.

    Raises:
        ConfigError: a key is unknown, judges trials or is fixed by an override; a range or a value
            is none that the config takes.
    """
    stated = read_document(path)
    if not stated:
        raise ConfigError(
            f"{path}: holds no key to search: give one or more, such as "
            "training.learning_rate: {low: 1e-4, high: 1e-2, log: true}"
        )
    fixed = {override.partition("=")[0] for override in overrides}
    for key in stated:
        _check_key(path, str(key), fixed)
    return tuple(
        _parameter(path, str(key), value, config, overrides) for key, value in stated.items()
    )


def why_fixed(key: str, fixed: Mapping[str, str]) -> str | None:
    """Return why a key of the config, or one above it, may not change; None if it may.

    Example:
        >>> why_fixed("data.root", JUDGING) == JUDGING["data"], why_fixed("data.bands", JUDGING)
        (True, None)
    """
    if any(f"{key}.".startswith(f"{free}.") for free in FREE):
        return None
    return next((why for one, why in fixed.items() if f"{key}.".startswith(f"{one}.")), None)


def text_of(value: object) -> str:
    """Return a value as one line of YAML.

    Example:
        >>> text_of(None), text_of("resnet18"), text_of([1, True])
        ('null', 'resnet18', '[1, true]')
    """
    text = yaml.safe_dump(value, default_flow_style=True, width=10**9, sort_keys=False)
    return text.removesuffix("\n").removesuffix("\n...")


def _check_key(path: Path, key: str, overridden: set[str]) -> None:
    why = why_fixed(key, FIXED)
    if why is not None:
        raise ConfigError(f"{path}: {key}: cannot be searched, since it {why}: leave it out")
    if key in overridden:
        raise ConfigError(f"{path}: {key}: is searched, but --set fixes it: drop one")


def _parameter(
    path: Path, key: str, stated: object, config: Path, overrides: Sequence[str]
) -> Parameter:
    def load(value: object) -> None:
        load_config(config, overrides, last={key: value}, last_from=str(path))

    match stated:
        case list():
            return _choices(path, key, stated, load)
        case dict():
            return _numbers(path, key, stated, load)
    raise ConfigError(
        f"{path}: {key}: give a list of values, or {{low: ..., high: ...}}, found "
        f"{text_of(stated):.60}"
    )


def _choices(path: Path, key: str, stated: list[object], load: Load) -> Choices:
    choices = Choices(key=key, values=tuple(stated))
    if len(set(choices.texts)) < max(2, len(stated)):
        raise ConfigError(
            f"{path}: {key}: give two or more values that differ, found {text_of(stated):.60}"
        )
    for value in stated:
        load(value)
    return choices


def _numbers(path: Path, key: str, stated: dict[str, object], load: Load) -> Numbers:
    try:
        found = _Range.model_validate(stated)
    except ValidationError as error:
        raise ConfigError(f"{path}: {_complaint(key, error)}") from error
    whole = _only_whole(found, load)
    neighbours = [found.low + (found.step or 1)] if whole else []
    for value in (found.low, found.high, *neighbours):
        load(value)
    return Numbers(key=key, whole=whole, **found.model_dump())


def _complaint(key: str, error: ValidationError) -> str:
    first = to_mend_first(error)
    where = ".".join((key, *map(str, place(first))))
    if first["type"] == "extra_forbidden":
        return (
            f"{where}: unknown key: a range has low, high, log and step; keys of the config are "
            "written with dots, as in training.learning_rate"
        )
    return f"{where}: {in_words(first)}"


def _only_whole(found: _Range, load: Load) -> bool:
    """Return whether the config takes whole numbers here and no others."""
    try:
        load(found.low + (found.high - found.low) / math.pi)
    except ConfigError:
        return found.low.is_integer() and found.high.is_integer()
    return False


def _is_off_step(length: float, step: float) -> bool:
    """Return whether a length is no whole number of steps."""
    return not math.isclose(length / step, round(length / step), abs_tol=1e-9)
