"""Every error that geohier raises on purpose, and the exit code of the command line for each.

    GeohierError
    ├── ConfigError             2  an option, a config file or a combination of them is wrong
    │   ├── TilingError            tiles that cannot cover a raster
    │   └── OutputExistsError      the output is there and belongs to another run
    ├── InputError              3  a raster, a label or a vector file cannot be used
    │   ├── RasterReadError        a raster or some of its blocks cannot be read
    │   ├── LabelError             labels that do not fit the image or the classes
    │   └── UnsafeInputError       an input that would reach beyond itself (network, links)
    ├── ModelError              4  a model directory or its answer cannot be used
    │   └── BandMismatchError      the raster's bands are not those that the model was trained on
    ├── ResourceError           5  the machine lacks something: disk, memory, a device, a library
    └── OutputLockedError       7  another process is writing the same output

The command line prints the message in one line and exits with the code. Any other exception is a
bug and keeps its traceback (exit code 1). Two more codes are not errors: 6, finished with recorded
failures, and 130 or 143, interrupted and resumable.
"""

from typing import ClassVar

FINISHED_WITH_FAILURES = 6
"""Exit code of a command that finished, but had to leave something out (see its run.json)."""


class GeohierError(Exception):
    """Base of all errors that geohier raises on purpose."""

    exit_code: ClassVar[int] = 1


def first_cause(error: BaseException) -> str:
    """Return what was said first, in one line: what others raised on top of it says less."""
    while error.__cause__ is not None:
        error = error.__cause__
    said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(said.split()) or type(error).__name__


class ConfigError(GeohierError, ValueError):
    """An option, a config file or a combination of them is wrong."""

    exit_code = 2


class TilingError(ConfigError):
    """Tiles of this size and overlap cannot cover a raster."""


class OutputExistsError(ConfigError):
    """The output is there already and belongs to another run."""


class InputError(GeohierError):
    """A raster, a label or a vector file cannot be used."""

    exit_code = 3


class RasterReadError(InputError, OSError):
    """A raster, or some of its blocks, cannot be read."""


class LabelError(InputError, ValueError):
    """Labels do not fit the image or the classes."""


class UnsafeInputError(InputError):
    """An input would reach beyond itself: over the network or through a link."""


class ModelError(GeohierError):
    """A model directory, or a model's answer, cannot be used."""

    exit_code = 4


class BandMismatchError(ModelError, ValueError):
    """The raster's bands are not those that the model was trained on."""


class ResourceError(GeohierError, OSError):
    """The machine lacks something: disk space, memory, a device or a library."""

    exit_code = 5


class OutputLockedError(GeohierError):
    """Another process is writing the same output."""

    exit_code = 7
