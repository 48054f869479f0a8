"""One of torchgeo's classes: checked by name and arguments, and opened without writing anything."""

import difflib
import inspect
import sys
import tarfile
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn, Self, get_args

from geohier.config.sources import TorchgeoSource
from geohier.errors import (
    ConfigError,
    GeohierError,
    InputError,
    ResourceError,
    UnsafeInputError,
    first_cause,
)
from geohier.raster.access import open_dataset
from geohier.raster.files import is_remote, shown

ARGUMENTS = frozenset(
    """
    countries id_disaster id_pre_post ood_disaster ood_pre_post scene split_column subareas target
    years
    """.split()  # noqa: SIM905
)
"""Arguments that choose among a data set's files, or what is fetched. The others say where files
are, which geohier does itself, or how torchgeo is to read pixels, which it does not do here."""

WRITERS = ("download_url", "extract_archive", "download_and_extract_archive")
"""What torchgeo's data sets call to fetch and to unpack."""

UNPACKERS = ((tarfile.TarFile, "extractall"), (zipfile.ZipFile, "extractall"))
"""What some of them call by themselves."""


class _CheckedRasters:
    """Lets a RasterDataset open only what geohier opens: GDAL by itself follows any VRT."""

    def _load_warp_file(self, filepath: str, crs: object = None) -> object:
        from rasterio.errors import RasterioIOError

        try:
            open_dataset(filepath).close()
        except UnsafeInputError:
            raise
        except InputError as error:
            raise RasterioIOError(str(error)) from error  # torchgeo leaves such files out
        return super()._load_warp_file(filepath, crs)  # type: ignore[misc]


@dataclass(frozen=True, slots=True, kw_only=True)
class TorchgeoClass:
    """A class of torchgeo.datasets, its folder and its arguments.

    Args:
        name: name of the class.
        root: folder of the data set.
        arguments: what chooses among its files.
        made_by: the class.
    """

    name: str
    root: Path
    arguments: Mapping[str, object]
    made_by: Any

    @classmethod
    def of(cls, said: TorchgeoSource, start: Path) -> Self:
        """Find and check what a config says.

        Raises:
            ConfigError: there is no such data set of rasters, or it has no such argument.
            UnsafeInputError: its folder is not on this machine.
        """
        root = start / said.root
        if is_remote(said.root) or is_remote(root.absolute()):
            raise UnsafeInputError(f"{shown(root)} is no folder on this machine: download it first")
        found = cls(
            name=said.dataset, root=root, arguments=said.arguments, made_by=_class(said.dataset)
        )
        allowed = sorted(ARGUMENTS & set(found.parameters))
        for name in said.arguments:
            if name not in allowed:
                raise ConfigError(
                    f"data.torchgeo: {said.dataset} takes no argument {name} here: "
                    f"{' '.join(allowed) or 'none'} may be given"
                )
        return found

    @property
    def parameters(self) -> Mapping[str, inspect.Parameter]:
        """What the class may be given."""
        return inspect.signature(self.made_by.__init__).parameters

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of its splits; none where all files are one."""
        if "split" not in self.parameters:
            return ()
        return get_args(self.parameters["split"].annotation) or ("train", "val")

    def opened(self, *, split: str | None) -> Any:  # noqa: ANN401 - torchgeo is untyped
        """Return the data set, having written nothing.

        Raises:
            InputError: its files are not there, or still packed.
            ConfigError: an argument has a value that the class refuses.
        """
        with _writing_nothing(self), _explained(self), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return self._make(split)

    def opened_rasters(self) -> Any:  # noqa: ANN401
        """Return the data set as one of georeferenced rasters.

        Raises:
            ConfigError: it is none, or as for `opened`.
            InputError: as for `opened`.
        """
        from torchgeo.datasets import RasterDataset

        if not issubclass(self.made_by, RasterDataset):
            raise ConfigError(
                f"torchgeo's {self.name} is no data set of georeferenced rasters: only two such "
                "ones are laid over each other (data.torchgeo.labels)"
            )
        return self.opened(split=None)

    def fetch(self, *, split: str | None) -> None:
        """Let torchgeo fetch and unpack what is not there yet; what it prints goes to stderr.

        Raises:
            ConfigError: torchgeo cannot fetch this data set.
            ResourceError: fetching failed.
        """
        if "download" not in self.parameters:
            raise ConfigError(
                f"torchgeo cannot fetch {self.name}: put its files into {shown(self.root)}"
            )
        try:
            with redirect_stdout(sys.stderr):
                self._make(split, download=True)
        except Exception as error:
            raise ResourceError(
                f"{self.name} cannot be fetched into {shown(self.root)}: {first_cause(error)}"
            ) from error

    def _make(self, split: str | None, **more: object) -> Any:  # noqa: ANN401
        from torchgeo.datasets import RasterDataset

        made_by = self.made_by
        if issubclass(made_by, RasterDataset):
            made_by = type(made_by.__name__, (_CheckedRasters, made_by), {})
        place = "root" if "root" in self.parameters else "paths"
        chosen = {} if split is None else {"split": split}
        plain = {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in self.arguments.items()
        }
        return made_by(**{place: str(self.root)}, **chosen, **plain, **more)


def _class(name: str) -> Any:  # noqa: ANN401
    """Return a class of torchgeo.datasets by its name."""
    import torchgeo.datasets as known

    kinds = (known.NonGeoDataset, known.RasterDataset)
    classes = {one: getattr(known, one) for one in known.__all__}
    datasets = [
        one for one, made in classes.items() if isinstance(made, type) and issubclass(made, kinds)
    ]
    if name not in datasets:
        near = difflib.get_close_matches(name, datasets, n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]}?" if near else ": see torchgeo's list of data sets"
        raise ConfigError(f"data.torchgeo: torchgeo has no data set of rasters {name}{hint}")
    return classes[name]


@contextmanager
def _explained(known: TorchgeoClass) -> Iterator[None]:
    """Turn what torchgeo raises into one line."""
    from torchgeo.datasets import DatasetNotFoundError, DependencyNotFoundError

    try:
        yield
    except GeohierError:
        raise
    except DatasetNotFoundError as error:
        raise InputError(
            f"{shown(known.root)}: does not hold {known.name} as torchgeo lays it out: put its "
            "files there, or let `geohier train --allow-download` fetch what torchgeo can"
        ) from error
    except DependencyNotFoundError as error:
        raise ResourceError(f"torchgeo's {known.name} needs more: {first_cause(error)}") from error
    except (AssertionError, TypeError, ValueError) as error:
        raise ConfigError(
            f"data.torchgeo: {known.name} refuses {dict(known.arguments)}: {first_cause(error)}"
        ) from error
    except Exception as error:
        raise InputError(
            f"{shown(known.root)}: torchgeo cannot read {known.name}: {first_cause(error)}"
        ) from error


@contextmanager
def _writing_nothing(known: TorchgeoClass) -> Iterator[None]:
    """Keep torchgeo from fetching and unpacking, which opening a data set may do by itself."""

    def refuse(*_: object, **__: object) -> NoReturn:
        raise InputError(
            f"{shown(known.root)}: {known.name} is still packed, or not whole: unpack it, or let "
            "`geohier train --allow-download` do so"
        )

    kept = [*_writers(), *((kind, name, getattr(kind, name)) for kind, name in UNPACKERS)]
    try:
        for module, name, _ in kept:
            setattr(module, name, refuse)
        yield
    finally:
        for module, name, function in kept:
            setattr(module, name, function)


def _writers() -> Iterator[tuple[ModuleType, str, object]]:
    for path, module in list(sys.modules.items()):
        if path.startswith("torchgeo.datasets"):
            for name in WRITERS:
                if hasattr(module, name):
                    yield module, name, getattr(module, name)
