"""`--verbose`: what a command does on its way, and where in the code an error comes from."""

import functools
import inspect
import logging
import sys
from collections.abc import Callable
from typing import Annotated, get_type_hints

import typer

LOGGER = "geohier"

Verbose = Annotated[
    bool,
    typer.Option(
        "--verbose",
        "-v",
        help="Also say what is read and decided, and where in the code an error arose.",
    ),
]


class _Line(logging.Formatter):
    """One line for people, as all else on stderr."""

    def format(self, record: logging.LogRecord) -> str:
        return f"geohier: {' '.join(record.getMessage().split())}"


def can_be_verbose[R](command: Callable[..., R]) -> Callable[..., R]:
    """Give a command the option --verbose."""

    @functools.wraps(command)
    def speaking(*args: object, verbose: bool = False, **values: object) -> R:
        _speak(wanted=verbose)
        return command(*args, **values)

    own = inspect.signature(command)
    option = inspect.Parameter(
        "verbose", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Verbose
    )
    parameters = [*own.parameters.values(), option]
    hints = get_type_hints(command, include_extras=True)
    speaking.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
    speaking.__annotations__ = {**hints, "verbose": Verbose}
    return speaking


def is_verbose() -> bool:
    """Return whether the command was asked to say more."""
    return logging.getLogger(LOGGER).isEnabledFor(logging.INFO)


def _speak(*, wanted: bool) -> None:
    """Let the package's log out on stderr, or keep it in."""
    log = logging.getLogger(LOGGER)
    for handler in [one for one in log.handlers if isinstance(one.formatter, _Line)]:
        log.removeHandler(handler)
    log.setLevel(logging.INFO if wanted else logging.WARNING)
    log.propagate = not wanted
    if wanted:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(_Line())
        log.addHandler(handler)
