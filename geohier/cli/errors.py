"""How commands end: errors in one line with their exit code, interruptions that can go on."""

import functools
import signal
import sys
from collections.abc import Callable
from types import FrameType

import typer

from geohier.errors import GeohierError

INTERRUPTED = 130
TERMINATED = 143


class Terminated(KeyboardInterrupt):
    """The process was asked to stop (SIGTERM)."""


def reports_errors[**P, R](command: Callable[P, R]) -> Callable[P, R]:
    """Print an error that geohier raised on purpose in one line, and exit with its code.

    Anything else is a bug and keeps its traceback.
    """

    @functools.wraps(command)
    def reporting(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except GeohierError as error:
            say(f"geohier: {' '.join(str(error).split())}")
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt as stop:
            say("geohier: interrupted; run the same command again to go on")
            raise typer.Exit(TERMINATED if isinstance(stop, Terminated) else INTERRUPTED) from None
        except BrokenPipeError:
            raise typer.Exit(0) from None

    return reporting


def stop_on_sigterm() -> None:
    """Let SIGTERM unwind the program like Ctrl-C does, so that nothing half-made is left."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Terminated

    signal.signal(signal.SIGTERM, stop)


def say(line: str) -> None:
    """Print a line for people, to stderr, whatever characters it holds."""
    encoding = sys.stderr.encoding or "utf-8"
    print(line.encode(encoding, "backslashreplace").decode(encoding), file=sys.stderr)
