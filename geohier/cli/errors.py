"""How commands end: errors in one line with their exit code, interruptions that can go on."""

import functools
import re
import signal
import sys
import traceback
from collections.abc import Callable
from types import FrameType
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from geohier.cli.verbose import can_be_verbose, is_verbose
from geohier.errors import GeohierError, ResourceError

INTERRUPTED = 130
TERMINATED = 143
GOES_ON = {
    "predict": "; run the same command again to go on",
    "probe": "; run the same command again to go on",
    "similar": "; run the same command again to go on",
    "embed": "; run the same command again to go on",
    "train": "; run it again with --resume to go on",
    "pretrain": "; run it again with --resume to go on",
    "tune": "; run it again with --resume to go on",
    "ablate": "; run it again with --resume to go on",
}
"""How the work of a command that was interrupted is taken up."""
UsageError: type[Any] = typer.BadParameter.__bases__[0]


class Terminated(KeyboardInterrupt):
    """The process was asked to stop (SIGTERM)."""


class Commands(TyperGroup):
    """The subcommands: mistakes in what was typed are told in one line, examples stay lines."""

    def main(self, *args: Any, **extra: Any) -> NoReturn:  # noqa: ANN401 - as typer has it
        """Run the command that was typed, and exit."""
        try:
            sys.exit(super().main(*args, **extra | {"standalone_mode": False}))
        except UsageError as error:
            sys.exit(_show_usage(error))

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - as typer has it
        """Run the command; an interruption before its work begins ends like one of the work."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as stop:
            say("geohier: interrupted")
            raise typer.Exit(TERMINATED if isinstance(stop, Terminated) else INTERRUPTED) from None

    def get_command(self, *args: Any) -> Any:  # noqa: ANN401 - as typer has it
        """Return a command whose help keeps the lines of its examples."""
        command = super().get_command(*args)
        if command is not None and command.help:
            command.help = command.help.replace("\n\nExample", "\n\n\b\nExample")
        return command


def _show_usage(error: Any) -> int:  # noqa: ANN401 - the class has moved between packages
    message = error.format_message().rstrip(".")
    if "\n" in message:  # the help of a command that was typed without anything
        error.show()
    else:
        command = error.ctx.command_path if error.ctx else "geohier"
        say(f"geohier: {message[0].lower()}{message[1:]}; see {command} --help")
    return int(error.exit_code)


def reports_errors[**P, R](command: Callable[P, R]) -> Callable[P, R]:
    """Print an error that geohier raised on purpose in one line, and exit with its code.

    Anything else is a bug and keeps its traceback.
    """

    @can_be_verbose
    @functools.wraps(command)
    def reporting(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except GeohierError as error:
            if is_verbose():
                say("".join(traceback.format_exception(error)).rstrip())
            say_error(error)
            raise typer.Exit(error.exit_code) from None
        except MemoryError as error:
            say(f"geohier: out of memory ({' '.join(str(error).split()) or 'no more is left'})")
            raise typer.Exit(ResourceError.exit_code) from None
        except KeyboardInterrupt as stop:
            say(f"geohier: interrupted{GOES_ON.get(command.__name__, '')}")
            raise typer.Exit(TERMINATED if isinstance(stop, Terminated) else INTERRUPTED) from None
        except BrokenPipeError:
            raise typer.Exit(0) from None

    return reporting


def stop_on_sigterm() -> None:
    """Let SIGTERM unwind the program like Ctrl-C does, so that nothing half-made is left."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Terminated

    signal.signal(signal.SIGTERM, stop)


def say_error(error: GeohierError, about: str = "") -> None:
    """Print an error in one line; `about` names the scene, where there are several."""
    text = one_line(error)
    named = not about or re.search(rf"(^|/){re.escape(about)}[.: ]", text) is not None
    say(f"geohier: {text}" if named else f"geohier: {about}: {text}")


def one_line(error: GeohierError, about: str = "") -> str:
    """Return an error in one line, without the name of the scene that stands before it anyway."""
    return " ".join(str(error).split()).removeprefix(f"{about}: ")


def say_note(note: str, about: str = "") -> None:
    """Print a note for people in one line; `about` names the scene, where there may be several."""
    say(f"note: {about}: {note}" if about else f"note: {note}")


def say(line: str) -> None:
    """Print a line for people, to stderr, whatever characters it holds."""
    encoding = sys.stderr.encoding or "utf-8"
    print(line.encode(encoding, "backslashreplace").decode(encoding), file=sys.stderr)


def say_scene(name: str) -> None:
    """Tell a person who looks on which scene is next."""
    if sys.stderr.isatty():
        say(f"{name} ...")
