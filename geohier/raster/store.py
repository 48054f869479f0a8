"""A run that writes a result in parts, can be killed at any moment, and goes on where it stopped.

    write(index, window, layers)    part files, each finished before it is listed
    finish(tags)                    parts -> COG -> read back -> final names -> parts removed

Until the end everything lies in the folder `OUT.parts`; a file under its final name is finished and
has been read back. What was there before stays until then.
"""

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from geohier.errors import ResourceError
from geohier.geo.window import Window
from geohier.raster.cog import write_cog
from geohier.raster.durable import move_durably, remove_files, sync, write_durably, writing
from geohier.raster.layers import MAIN, Layer, layer_path
from geohier.raster.lock import OutputLock
from geohier.raster.part_file import encode
from geohier.raster.record import (
    Fact,
    FileFact,
    Journal,
    Part,
    PartFile,
    RunRecord,
    as_json,
    summed,
    united,
)

ALL_NODATA: Fact = {"all_nodata": True}
"""Note of a result that is nodata all over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedRun:
    """A result under its final names, and what its run had to leave out."""

    target: Path
    outputs: Mapping[str, Path]
    record: RunRecord

    @property
    def failures(self) -> tuple[Fact, ...]:
        """What had to be left out, each once; the order does not tell how the work was cut."""
        return self.record.failures

    @property
    def notes(self) -> tuple[Fact, ...]:
        """What else is worth knowing, such as a smaller batch."""
        return self.record.notes

    @property
    def counts(self) -> Mapping[str, int]:
        """What was counted while it was made."""
        return self.record.counts

    @property
    def is_all_nodata(self) -> bool:
        """Whether no pixel has an answer."""
        return ALL_NODATA in self.notes

    @classmethod
    def of(cls, target: Path, record: RunRecord) -> Self:
        """Return the run behind a record; its files lie at and beside `target`."""
        outputs = {name: layer_path(target, name) for name in record.outputs}
        return cls(target=target, outputs=outputs, record=record)


class PartStore:
    """The parts of one run, and the way from them to the result. Made by `open_run`.

    A context manager: on leaving it, the output is free for another run; an error before the first
    part leaves nothing. Use it from one thread at a time.

    Args:
        target: file of the labels, or the features; other layers lie beside it.
        run: who the run is.
        geobox: grid of the result.
        layers: what is written.
        options: creation options of the final files, checked.
        lock: lock on the target, held.
    """

    def __init__(
        self,
        target: Path,
        run: RunRecord,
        geobox: GeoBox,
        layers: Sequence[Layer],
        options: Mapping[str, str],
        lock: OutputLock,
    ) -> None:
        self.target = target
        self.geobox = geobox
        self.layers = tuple(layers)
        self._run = run
        self._options = options
        self._lock = lock
        self.folder = parts_folder(target)
        self._journal = Journal(self.folder / "parts.jsonl")
        listed = {part.index: part for part in self._journal.read()}
        self._parts = {index: part for index, part in listed.items() if self._is_whole(part)}

    @property
    def finished(self) -> set[int]:
        """Parts that need not be made again: their files are as they were written."""
        return set(self._parts)

    @property
    def settings(self) -> Fact:
        """What the first start decided, such as the batch size, and this start must keep."""
        return self._run.settings

    @property
    def counts(self) -> dict[str, int]:
        """What was counted in the parts that are there, summed."""
        return summed(part.counts for part in self._parts.values())

    def decide(self, name: str, value: object) -> None:
        """Add to the settings something that is only known now; later starts keep it.

        Raises:
            ResourceError: the disk is full or failing.
        """
        settings = as_json({**self._run.settings, name: value})
        run = replace(self._run, settings=settings)
        run.write(self.folder / "run.json")
        self._run = run

    def write(
        self,
        index: int,
        window: Window,
        layers: Mapping[str, NDArray[np.uint8] | NDArray[np.uint16]],
        failures: Sequence[Fact] = (),
        notes: Sequence[Fact] = (),
        counts: Mapping[str, int] | None = None,
    ) -> None:
        """Keep a finished window.

        Args:
            index: number of the part; a part that is there already is replaced.
            window: where it lies; windows of different parts share no pixel.
            layers: array of each layer, `(C, H, W)`.
            failures: what had to be left out here; a run with failures ends with exit code 6. What
                several parts name counts once.
            notes: what else is worth knowing, such as a smaller batch.
            counts: what was counted here, to be summed over the parts.

        Raises:
            ResourceError: the disk is full or failing; nothing of this part is kept.
        """
        files = {
            layer.name: self._write_file(index, window, layer, layers[layer.name])
            for layer in self.layers
        }
        part = Part(
            index=index,
            window=window,
            files=files,
            failures=tuple(failures),
            notes=tuple(notes),
            counts=counts or {},
        )
        with writing(self.folder):
            sync(self.folder)
        self._journal.append(part)
        self._parts[index] = part

    def finish(
        self, tags: Mapping[str, str], notes: Sequence[Fact] = (), *, verify: bool = True
    ) -> FinishedRun:
        """Make the result from the parts, read it back, give it its name, remove the parts.

        Each step leaves a state from which the next run of the same job goes on; the file at
        `target` gets its name last.

        Args:
            tags: what the files say about their content: no clock time, path, host or user.
            notes: what is worth knowing about the whole.
            verify: whether the files are read back; only a benchmark may say no.

        Raises:
            ResourceError: the disk is full or failing; the parts are kept.
            ValueError: the parts do not cover the raster, each pixel once.
        """
        parts = sorted(self._parts.values(), key=lambda p: (p.window.row_off, p.window.col_off))
        check_cover([part.window for part in parts], self.geobox)
        made = {layer.name: self._assemble(layer, parts, tags, verify) for layer in self.layers}
        record = RunRecord(
            fingerprint=self._run.fingerprint,
            settings=self._run.settings,
            outputs=made,
            failures=united(part.failures for part in parts),
            notes=(*notes, *united(part.notes for part in parts), *_remarks(parts, self.layers)),
            counts=self.counts,
        )
        self._publish(record)
        discard_parts(self.target)
        self.close()
        return FinishedRun.of(self.target, record)

    def close(self) -> None:
        """Let another run have the output. The parts stay."""
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *error: object) -> None:
        if kind is not None and not self._parts:  # nothing to go on with
            with suppress(ResourceError):
                discard_parts(self.target)
        self.close()

    def _is_whole(self, part: Part) -> bool:
        names = {layer.name for layer in self.layers}
        return set(part.files) == names and all(
            file.matches(self.folder) for file in part.files.values()
        )

    def _write_file(
        self, index: int, window: Window, layer: Layer, values: NDArray[np.generic]
    ) -> PartFile:
        meant = (layer.count, window.height, window.width)
        if values.shape != meant or values.dtype != layer.dtype:
            raise ValueError(
                f"{layer.name} of part {index} is {values.dtype} {values.shape}, "
                f"but should be {layer.dtype} {meant}"
            )
        values = np.ascontiguousarray(values)
        data = encode(values, window)
        path = self.folder / f"part-{index:06d}-{layer.name}.tif"
        write_durably(path, data)
        return PartFile(
            name=path.name,
            sha256=hashlib.sha256(data).hexdigest(),
            size=len(data),
            pixels=hashlib.sha256(values).hexdigest(),
        )

    def _assemble(
        self, layer: Layer, parts: Sequence[Part], tags: Mapping[str, str], verify: bool
    ) -> FileFact:
        path = self.folder / f"final-{layer.name}.tif"
        write_cog(path, layer, self.geobox, parts, tags=tags, options=self._options, verify=verify)
        return FileFact.of(path, name=layer_path(self.target, layer).name)

    def _publish(self, record: RunRecord) -> None:
        """Give the files their names: the record before the main one, so that they never disagree.

        A main file that matches the record beside it is finished; all else is made again.
        """
        main = _main(self.layers)
        final = {layer.name: self.folder / f"final-{layer.name}.tif" for layer in self.layers}
        record.write(self.folder / "finished.json")
        self._remove_stale(record)
        for layer in self.layers:
            if layer != main:
                move_durably(final[layer.name], layer_path(self.target, layer))
        move_durably(self.folder / "finished.json", record_path(self.target))
        move_durably(final[main.name], self.target)

    def _remove_stale(self, record: RunRecord) -> None:
        """Remove layers that an earlier run left at this output and that this one does not have."""
        earlier = RunRecord.read(record_path(self.target))
        kept = {file.name for file in record.outputs.values()}
        for file in () if earlier is None else earlier.outputs.values():
            if file.name not in kept and file.matches(self.target.parent):
                remove_files([self.target.parent / file.name])


def _main(layers: Sequence[Layer]) -> Layer:
    return next(layer for layer in layers if layer.name in MAIN)


def _remarks(parts: Sequence[Part], layers: Sequence[Layer]) -> list[Fact]:
    """Note a result without any answer, told by the digests: no pixel is looked at again."""
    main = _main(layers)
    empty = cache(partial(_digest_of_nodata, main))
    digests = ((p.files[main.name].pixels, empty(p.window.height, p.window.width)) for p in parts)
    return [ALL_NODATA] if all(found == nothing for found, nothing in digests) else []


def _digest_of_nodata(layer: Layer, height: int, width: int) -> str:
    band = np.full((height, width), layer.nodata, layer.dtype)
    digest = hashlib.sha256()
    for _ in range(layer.count):
        digest.update(band)
    return digest.hexdigest()


def check_cover(windows: Sequence[Window], geobox: GeoBox) -> None:
    """Check that windows cover a grid, each pixel once.

    Raises:
        ValueError: a pixel is covered not at all, or twice.
    """
    height, width = geobox.shape
    rows = sorted({0, height, *(at for w in windows for at in (w.row_off, w.row_stop))})
    cols = sorted({0, width, *(at for w in windows for at in (w.col_off, w.col_stop))})
    row_at, col_at = ({v: i for i, v in enumerate(edges)} for edges in (rows, cols))
    times = np.zeros((len(rows) - 1, len(cols) - 1), dtype=np.int64)
    for w in windows:
        times[row_at[w.row_off] : row_at[w.row_stop], col_at[w.col_off] : col_at[w.col_stop]] += 1
    inside = rows[0] == cols[0] == 0 and (rows[-1], cols[-1]) == (height, width)
    if not inside or (times != 1).any():
        raise ValueError(
            f"{len(windows)} parts do not cover {height} x {width} px, each pixel once"
        )


def parts_folder(target: Path) -> Path:
    """Folder of the parts of an unfinished result."""
    return target.with_name(target.name + ".parts")


def record_path(target: Path) -> Path:
    """File that says how a finished result was made."""
    return target.with_name(target.name + ".run.json")


def discard_parts(target: Path) -> None:
    """Remove the parts of a run: who it is goes last, so that what is left is always known."""
    folder = parts_folder(target)
    remove_files(path for path in folder.glob("*") if path.name != "run.json")
    remove_files([folder / "run.json"])
    with writing(folder):
        folder.rmdir()
