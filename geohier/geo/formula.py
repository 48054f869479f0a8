"""Arithmetic of band names, such as `(nir - red) / (nir + red)`: read by a parser, never as code.

A formula has numbers, band names, `+ - * / **` (or `^`) with Python's precedence, parentheses, and
the functions of `FUNCTIONS`. A band whose name is no word stands in quotes: `'443 nm' / red`.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geohier.errors import ConfigError

LONGEST = 1000
"""Characters that a formula may have."""
DEEPEST = 40
"""Parentheses, signs and powers that may stand inside each other."""

type Array = NDArray[np.float64]

FUNCTIONS: Mapping[str, int | None] = {
    "abs": 1,
    "sqrt": 1,
    "exp": 1,
    "log": 1,
    "log10": 1,
    "clip": 3,
    "min": None,
    "max": None,
}
"""Functions and how many values each takes: None for two or more. `clip` takes value, low, high."""

_COMPUTE: Mapping[str, Callable[..., Array]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "**": np.power,
    "sign": np.negative,
    "abs": np.abs,
    "sqrt": np.sqrt,
    "exp": np.exp,
    "log": np.log,
    "log10": np.log10,
    "clip": np.clip,
    "min": np.minimum,
    "max": np.maximum,
}

_TOKEN = re.compile(
    r"""\s*(?:(?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
         |(?P<name>[^\W\d]\w*)
         |(?P<quoted>"[^"]+"|'[^']+')
         |(?P<sign>\*\*|[-+*/^(),])
         |(?P<end>$)
         |(?P<strange>.))""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Constant:
    """A step that puts a number on the stack."""

    value: float


@dataclass(frozen=True, slots=True)
class Operand:
    """A step that puts a band on the stack: the one whose name stands at this place."""

    at: int


@dataclass(frozen=True, slots=True)
class Apply:
    """A step that replaces the last values on the stack by what an operation makes of them."""

    operation: str
    operands: int


type Step = Constant | Operand | Apply


@dataclass(frozen=True, slots=True)
class Formula:
    """A formula that was read.

    Args:
        text: as it was written.
        names: the bands that it names, each once, in the order of their first use.
        steps: what a stack machine does to compute it.

    Example:
        >>> ratio = read_formula("(nir - red) / (nir + red)")
        >>> ratio.names, ratio.compute([np.array([3.0, 0.0]), np.array([1.0, 0.0])]).tolist()
        (('nir', 'red'), [0.5, nan])
    """

    text: str
    names: tuple[str, ...]
    steps: tuple[Step, ...]

    def compute(self, bands: Sequence[Array]) -> Array:
        """Return the formula's value of each pixel; NaN or infinite where it has none.

        Args:
            bands: one array for each of `names`, all of one shape.
        """
        stack: list[float | Array] = []
        with np.errstate(all="ignore"):
            for step in self.steps:
                match step:
                    case Constant(value):
                        stack.append(value)
                    case Operand(at):
                        stack.append(bands[at])
                    case Apply(operation, operands):
                        stack[-operands:] = [_COMPUTE[operation](*stack[-operands:])]
        return np.asarray(stack.pop(), np.float64)


def read_formula(text: str) -> Formula:
    """Read a formula.

    Raises:
        ConfigError: it is no formula, names no band, or is too long or too deep.
    """
    if len(text) > LONGEST:
        raise ConfigError(f"a formula may have {LONGEST} characters, found {len(text)}: shorten it")
    reader = _Reader(text)
    reader.whole()
    if not reader.names:
        raise ConfigError(f"formula {text!r} names no band: it would be the same everywhere")
    return Formula(text=text, names=tuple(reader.names), steps=tuple(reader.steps))


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    place: int


class _Reader:
    """Reads a formula by recursive descent, and writes its steps down operands first."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.names: dict[str, int] = {}
        self.steps: list[Step] = []
        self._depth = 0
        self._tokens = _tokens(text)
        self._next = next(self._tokens)

    def whole(self) -> None:
        self._sum()
        if self._next.kind != "end":
            raise self._unexpected("an operator")

    def _sum(self) -> None:
        self._product()
        while self._next.text in ("+", "-"):
            operator = self._take().text
            self._product()
            self.steps.append(Apply(operator, 2))

    def _product(self) -> None:
        self._signed()
        while self._next.text in ("*", "/"):
            operator = self._take().text
            self._signed()
            self.steps.append(Apply(operator, 2))

    def _signed(self) -> None:
        """Read a signed value; whatever nests passes here, so here the depth is counted."""
        self._depth += 1
        if self._depth > DEEPEST:
            raise ConfigError(f"formula {self.text!r} nests deeper than {DEEPEST}: split it up")
        sign = self._take().text if self._next.text in ("+", "-") else ""
        if sign:
            self._signed()
        else:
            self._power()
        if sign == "-":
            self.steps.append(Apply("sign", 1))
        self._depth -= 1

    def _power(self) -> None:
        self._value()
        if self._next.text in ("**", "^"):
            self._take()
            self._signed()
            self.steps.append(Apply("**", 2))

    def _value(self) -> None:
        token = self._take()
        if token.kind == "number":
            self.steps.append(Constant(self._finite(token)))
        elif token.kind == "name" and self._next.text == "(":
            self._call(token)
        elif token.kind in ("name", "quoted"):
            name = token.text.strip("\"'").strip()
            self.steps.append(Operand(self.names.setdefault(name, len(self.names))))
        elif token.text == "(":
            self._sum()
            self._close()
        else:
            raise self._unexpected("a band, a number or a parenthesis", token)

    def _call(self, function: _Token) -> None:
        name = function.text.lower()
        if name not in FUNCTIONS:
            raise ConfigError(
                f"formula {self.text!r}: no function {function.text}: there are "
                f"{' '.join(FUNCTIONS)}"
            )
        count = self._arguments()
        wanted = FUNCTIONS[name]
        if count != wanted and (wanted is not None or count < 2):
            raise ConfigError(
                f"formula {self.text!r}: {name} takes {wanted or '2 or more'} values, found {count}"
            )
        of_two = wanted is None
        self.steps += [Apply(name, 2 if of_two else count)] * (count - 1 if of_two else 1)

    def _arguments(self) -> int:
        self._take()
        count = 1
        self._sum()
        while self._next.text == ",":
            self._take()
            self._sum()
            count += 1
        self._close()
        return count

    def _close(self) -> None:
        if self._next.text != ")":
            raise self._unexpected("an operator or a closing parenthesis")
        self._take()

    def _finite(self, token: _Token) -> float:
        value = float(token.text)
        if not math.isfinite(value):
            raise ConfigError(f"formula {self.text!r}: {token.text} is too large a number")
        return value

    def _take(self) -> _Token:
        token = self._next
        if token.kind != "end":
            self._next = next(self._tokens)
        return token

    def _unexpected(self, wanted: str, found: _Token | None = None) -> ConfigError:
        token = found or self._next
        if token.kind == "end":
            return ConfigError(f"formula {self.text!r} ends where {wanted} should stand")
        return ConfigError(
            f"formula {self.text!r}: {token.text!r} at character {token.place} stands where "
            f"{wanted} should"
        )


def _tokens(text: str) -> Iterator[_Token]:
    at, text = 0, text.rstrip()
    while True:
        found = _TOKEN.match(text, at)
        assert found is not None, "any character is strange, and no character is the end"
        assert found.lastgroup is not None
        yield _Token(found.lastgroup, found[found.lastgroup], found.start(found.lastgroup) + 1)
        at = found.end()
