"""Starting a run, or going on with it: what the output's state allows.

nothing there                           start
OUT finished by the same run            up to date
OUT finished by another, or foreign     refuse, unless `overwrite` (it stays until replaced)
OUT.parts of the same run               go on
OUT.parts of another run                refuse and name the difference, unless `restart`
"""

import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from odc.geo.geobox import GeoBox

from geohier.errors import ConfigError, OutputExistsError, ResourceError
from geohier.raster.cog import check_crs
from geohier.raster.cog import creation_options as checked
from geohier.raster.durable import DRAFT_SUFFIX, remove_files, sync, writing
from geohier.raster.layers import MAIN, Layer, layer_path
from geohier.raster.lock import OutputLock
from geohier.raster.record import Fact, RunRecord, as_json, difference
from geohier.raster.store import (
    FinishedRun,
    PartStore,
    discard_parts,
    parts_folder,
    record_path,
)

__all__ = ["FinishedRun", "PartStore", "UpToDate", "open_run", "required_bytes"]

SPARE_BYTES = 16 << 20
"""Left free on the disk beyond what a result needs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpToDate:
    """The output is there, finished by the same run, and unchanged since."""

    run: FinishedRun


def open_run(
    target: Path,
    fingerprint: Fact,
    geobox: GeoBox,
    layers: Sequence[Layer],
    *,
    settings: Fact | None = None,
    creation_options: Mapping[str, str] | None = None,
    restart: bool = False,
    overwrite: bool = False,
) -> PartStore | UpToDate:
    """Start the run that makes `target`, or go on with it.

    Args:
        target: file of the labels, or the features; other layers come to lie beside it.
        fingerprint: everything that decides the result, as JSON has it. Grid, layers and creation
            options are added here.
        geobox: grid of the result.
        layers: what is written; one of them is the labels, or the features.
        settings: what this start decided, such as the batch size; a run that goes on keeps those
            of its first start (`PartStore.settings`).
        creation_options: options for GDAL's COG driver (`--co`).
        restart: throw away the parts that are there and make everything anew.
        overwrite: replace an output that belongs to another run.

    Raises:
        OutputExistsError: the output, or parts of it, belong to another run.
        OutputLockedError: another process is writing it.
        ResourceError: the folder cannot be written, or has too little space.
        ConfigError: a creation option is not known, or `target` cannot be a file's name.
        InputError: a GeoTIFF cannot hold the grid's CRS.
    """
    options = checked(creation_options or {})
    target = target.absolute()
    _check_name(target)
    check_crs(geobox)
    made = [folder for folder in target.parents if not folder.exists()]
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
    identity = _identity(fingerprint, geobox, layers, options)
    run = RunRecord(fingerprint=identity, settings=as_json(settings or {}), outputs={})
    lock = OutputLock(target)
    try:
        done = None if restart else _finished(target, run)
        if done is not None:
            lock.release()
            return UpToDate(run=done)
        _refuse_foreign(target, run, layers, restart=restart, overwrite=overwrite)
        _check_space(target, geobox, layers)
        run = _begin(target, run, restart=restart)
        return PartStore(target, run, geobox, layers, options, lock)
    except BaseException:
        lock.release()
        _remove_empty([parts_folder(target), *made])
        raise


def required_bytes(geobox: GeoBox, layers: Sequence[Layer]) -> int:
    """Estimate the disk space that a run needs at its peak: parts, final files, overviews.

    Class rasters shrink to a third or less; continuous layers are taken as they are. The overviews
    of one layer at a time lie uncompressed while they are made.
    """
    pixels = geobox.shape[0] * geobox.shape[1]
    kept = sum(
        pixels * layer.bytes_per_pixel * (0.3 if layer.class_names is not None else 1.0)
        for layer in layers
    )
    overviews = max(pixels * layer.bytes_per_pixel for layer in layers) / 3
    return int(kept * (1 + 4 / 3) + overviews) + SPARE_BYTES


def _check_name(target: Path) -> None:
    if target.is_dir():
        raise ConfigError(f"{target} is a folder: name a file to write")
    try:
        str(target).encode()
    except UnicodeEncodeError:
        shown = str(target).encode(errors="backslashreplace").decode()
        raise ConfigError(f"{shown} is not valid UTF-8, GDAL cannot write it: rename it") from None


def _identity(
    fingerprint: Fact, geobox: GeoBox, layers: Sequence[Layer], options: Mapping[str, str]
) -> Fact:
    height, width = geobox.shape
    grid = {
        "height": height,
        "width": width,
        "transform": list(geobox.affine[:6]),
        "crs": None if geobox.crs is None else geobox.crs.wkt,
    }
    written = {
        layer.name: {
            "dtype": layer.dtype,
            "bands": list(layer.descriptions),
            "classes": None if layer.class_names is None else list(layer.class_names),
            "colors": None if layer.class_colors is None else list(layer.class_colors),
        }
        for layer in layers
    }
    if sum(name in MAIN for name in written) != 1:
        raise ValueError(f"one layer must be the labels or the features, found {sorted(written)}")
    own = {"grid": grid, "layers": written, "creation_options": dict(options)}
    return as_json({**fingerprint, **own})


def _finished(target: Path, run: RunRecord) -> FinishedRun | None:
    """Return the finished result of this very run, if it is there and whole."""
    record = RunRecord.read(record_path(target))
    if record is None or record.fingerprint != run.fingerprint:
        return None
    if not all(file.matches(target.parent) for file in record.outputs.values()):
        return None
    folder = parts_folder(target)
    left = RunRecord.read(folder / "run.json")
    own = left is not None and left.fingerprint == run.fingerprint
    if own or (folder.is_dir() and not any(folder.iterdir())):
        discard_parts(target)  # the last steps of the run that finished it
    return FinishedRun.of(target, record)


def _refuse_foreign(
    target: Path, run: RunRecord, layers: Sequence[Layer], *, restart: bool, overwrite: bool
) -> None:
    """Refuse what is there already, unless it is this run's or the user gives it up."""
    if not overwrite:
        _refuse_foreign_output(target, run, layers)
    if parts_folder(target).exists() and not restart:
        _refuse_foreign_parts(parts_folder(target), run)


def _remove_empty(folders: Sequence[Path]) -> None:
    """Remove folders, innermost first, that were made for nothing."""
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()


def _begin(target: Path, run: RunRecord, *, restart: bool) -> RunRecord:
    """Make the folder of the parts, or keep the one that is there and the settings it holds."""
    folder = parts_folder(target)
    left = RunRecord.read(folder / "run.json")
    if folder.exists() and restart:
        discard_parts(target)
        left = None
    with writing(folder):
        folder.mkdir(exist_ok=True)
        remove_files([*folder.glob(f"*{DRAFT_SUFFIX}"), *folder.glob("final-*")])
        sync(target.parent)
    if left is not None:
        return replace(run, settings=left.settings)
    run.write(folder / "run.json")
    return run


def _refuse_foreign_output(target: Path, run: RunRecord, layers: Sequence[Layer]) -> None:
    records = (
        RunRecord.read(record_path(target)),
        RunRecord.read(parts_folder(target) / "finished.json"),
    )
    own = [
        file
        for record in records
        if record is not None and record.fingerprint == run.fingerprint
        for file in record.outputs.values()
    ]
    for layer in layers:
        path = layer_path(target, layer)
        known = any(file.name == path.name and file.matches(path.parent) for file in own)
        if path.exists() and not known:
            raise OutputExistsError(
                f"{path} is there already{_whose(path, records[0], run)}: "
                "choose --overwrite or another path"
            )


def _whose(path: Path, record: RunRecord | None, run: RunRecord) -> str:
    made = [] if record is None else list(record.outputs.values())
    if record is None or not any(f.name == path.name and f.matches(path.parent) for f in made):
        return " and no finished run of geohier stands behind it"
    changed = difference(record.fingerprint, run.fingerprint)
    return f" and was made by another run ({changed})" if changed else " but is incomplete"


def _refuse_foreign_parts(folder: Path, run: RunRecord) -> None:
    left = RunRecord.read(folder / "run.json")
    if left is None:
        if any(path.name != f"run.json{DRAFT_SUFFIX}" for path in folder.iterdir()):
            raise OutputExistsError(
                f"{folder} holds files of an unknown run: choose --restart to remove them, or "
                "another path"
            )
        return
    changed = difference(left.fingerprint, run.fingerprint)
    if changed:
        raise OutputExistsError(
            f"{folder} belongs to another run ({changed}): finish that one, or choose --restart "
            "to throw its parts away, or another path"
        )


def _check_space(target: Path, geobox: GeoBox, layers: Sequence[Layer]) -> None:
    """Check that there is space enough, parts that are there already counted in."""
    there = sum(path.stat().st_size for path in parts_folder(target).glob("part-*.tif"))
    need = required_bytes(geobox, layers) - there
    with writing(target):
        free = shutil.disk_usage(target.parent).free
    if free < need:
        raise ResourceError(
            f"{target.parent} has {free / 2**30:.2f} GiB free, the result needs about "
            f"{need / 2**30:.2f} GiB on its way: free some space or choose another folder"
        )
