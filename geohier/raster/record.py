"""What a run writes down about itself: who it is, which parts it has, what it made.

OUT.parts/run.json      the run's fingerprint and settings, written before the first part
OUT.parts/parts.jsonl   one line per finished part, appended
OUT.run.json            what the finished run made and had to leave out; no parts
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from geohier.errors import ResourceError
from geohier.geo.window import Window
from geohier.raster.durable import append_durably, sha256_of, write_durably

COUNTS = "counts"
"""Field of what is counted."""

type Fact = Mapping[str, object]
"""Something worth keeping, as JSON has it, such as the window of a block that cannot be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFact:
    """A file as it was when it was finished."""

    name: str
    sha256: str
    size: int

    @classmethod
    def of(cls, path: Path, *, name: str | None = None) -> Self:
        """Describe a file as it is now, by its own name or by the one that it is to have."""
        return cls(name=name or path.name, sha256=sha256_of(path), size=path.stat().st_size)

    def matches(self, folder: Path) -> bool:
        """Whether the file is still there, unchanged."""
        path = folder / self.name
        return (
            path.is_file() and path.stat().st_size == self.size and sha256_of(path) == self.sha256
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PartFile(FileFact):
    """One layer of a part; `pixels` is the SHA-256 of its `(C, H, W)` array, before encoding."""

    pixels: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A finished window of the result: one file per layer, and what was recorded with it."""

    index: int
    window: Window
    files: Mapping[str, PartFile]
    failures: tuple[Fact, ...] = ()
    notes: tuple[Fact, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)

    def to_json(self) -> str:
        """Return the part as one line of the journal."""
        window = [getattr(self.window, name) for name in _WINDOW]
        files = {
            layer: {"name": f.name, "sha256": f.sha256, "size": f.size, "pixels": f.pixels}
            for layer, f in self.files.items()
        }
        facts = {"failures": [*self.failures], "notes": [*self.notes], **_counted(self.counts)}
        fields = {"index": self.index, "window": window, "files": files} | facts
        return json.dumps(fields | {"check": _checksum(fields)})

    @classmethod
    def from_json(cls, line: bytes) -> Self:
        """Return the part of a line.

        Raises:
            ValueError: the line is not as it was written.
        """
        fields: dict[str, Any] = dict(json.loads(line))
        if fields.pop("check", None) != _checksum(fields):
            raise ValueError("a damaged line")
        return cls(
            index=fields["index"],
            window=Window(**dict(zip(_WINDOW, fields["window"], strict=True))),
            files={layer: PartFile(**file) for layer, file in fields["files"].items()},
            failures=tuple(fields["failures"]),
            notes=tuple(fields["notes"]),
            counts=dict(fields.get(COUNTS, {})),
        )


_WINDOW = ("row_off", "col_off", "height", "width")


def _checksum(fields: Fact) -> str:
    return hashlib.sha256(json.dumps(fields).encode()).hexdigest()[:16]


class Journal:
    """The parts that a run has finished: append-only, so that thousands of them stay cheap."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> list[Part]:
        """Return the parts, in the order they were finished.

        A line that was cut short by a kill, or damaged since, does not count: its part is to be
        made again.

        Raises:
            ResourceError: the journal is there but cannot be read.
        """
        content = _content_of(self.path) or b""
        whole, _, torn = content.rpartition(b"\n")
        if torn:  # else the next line would be appended to it
            write_durably(self.path, whole + b"\n" if whole else b"")
        parts = map(_part_or_none, whole.split(b"\n"))
        return [part for part in parts if part is not None]

    def append(self, part: Part) -> None:
        """Add a finished part, safe on the disk.

        Raises:
            ResourceError: the disk is full or failing.
        """
        append_durably(self.path, part.to_json().encode() + b"\n")


def _part_or_none(line: bytes) -> Part | None:
    try:
        return Part.from_json(line)
    except (ValueError, TypeError):
        return None


def _content_of(path: Path) -> bytes | None:
    """Return what a file holds, None where there is none.

    Raises:
        ResourceError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ResourceError(
            f"{path} cannot be read ({error.strerror}): make it readable or remove it, or choose "
            "another output"
        ) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """Who a run is, and once it is finished, what it made.

    Args:
        fingerprint: everything that decides the result; equal fingerprints, equal bytes.
        settings: what the first start decided and every later start keeps.
        outputs: the finished file of each layer; empty while the run goes on.
        failures: what had to be left out.
        notes: what else is worth knowing, such as a smaller batch.
        counts: what was counted, summed over the parts.
    """

    fingerprint: Fact
    settings: Fact
    outputs: Mapping[str, FileFact]
    failures: tuple[Fact, ...] = ()
    notes: tuple[Fact, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        """Write the record as JSON; what was there before stays until the new one is whole.

        Raises:
            ResourceError: the disk is full or failing.
        """
        fields = {
            "fingerprint": self.fingerprint,
            "settings": self.settings,
            "outputs": {
                layer: {"name": file.name, "sha256": file.sha256, "size": file.size}
                for layer, file in self.outputs.items()
            },
            "failures": [*self.failures],
            "notes": [*self.notes],
            **_counted(self.counts),
        }
        write_durably(path, (json.dumps(fields, indent=1) + "\n").encode())

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """Return the record, or None where there is none that can be understood.

        Raises:
            ResourceError: there is something that cannot be read.
        """
        content = _content_of(path)
        if content is None:
            return None
        try:
            fields: dict[str, Any] = json.loads(content)
            return cls(
                fingerprint=fields["fingerprint"],
                settings=fields["settings"],
                outputs={k: FileFact(**file) for k, file in fields["outputs"].items()},
                failures=tuple(fields["failures"]),
                notes=tuple(fields["notes"]),
                counts={name: int(count) for name, count in fields.get(COUNTS, {}).items()},
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            return None


def united(facts: Iterable[Iterable[Fact]]) -> tuple[Fact, ...]:
    """Return each fact once, in an order of their own: by their texts, numbers by their size.

    Example:
        >>> united([[{"row": 16}], [{"row": 4}, {"row": 16}]])
        ({'row': 4}, {'row': 16})
    """
    by_text = {json.dumps(fact): fact for some in facts for fact in some}
    return tuple(by_text[text] for text in sorted(by_text, key=_by_size))


def summed(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Return the sums of counts by name, in the order of the names.

    Example:
        >>> summed([{"b": 1}, {"b": 2, "a": 1}])
        {'a': 1, 'b': 3}
    """
    total: Counter[str] = Counter()
    for one in counts:
        total.update(one)
    return dict(sorted(total.items()))


def _counted(counts: Mapping[str, int]) -> dict[str, dict[str, int]]:
    """Return the field of counts: where nothing is counted, there is none."""
    return {COUNTS: dict(counts)} if counts else {}


def _by_size(text: str) -> list[tuple[int, str]]:
    return [(int(part) if part.isdecimal() else -1, part) for part in re.split(r"(\d+)", text)]


def as_json(fact: Fact) -> dict[str, Any]:
    """Return a fact as it will be read back: tuples as lists, keys as text, paths refused."""
    plain: dict[str, Any] = json.loads(json.dumps(fact, sort_keys=True))
    return plain


def difference(old: Fact, new: Fact, prefix: str = "") -> str | None:
    """Name the first field in which two fingerprints differ, with both values.

    Example:
        >>> difference({"tile": {"size_px": 512}}, {"tile": {"size_px": 1024}})
        'tile.size_px was 512, now 1024'
    """
    for key in sorted({*old, *new}):
        before, now = _as_mapping(old.get(key)), _as_mapping(new.get(key))
        if before == now:
            continue
        if isinstance(before, Mapping) and isinstance(now, Mapping):
            return difference(before, now, f"{prefix}{key}.")
        return f"{prefix}{key} was {_cut_short(before)}, now {_cut_short(now)}"
    return None


def _as_mapping(value: object) -> object:
    """Return a list of facts as one fact, with their numbers (from 1) for keys."""
    if isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
        return {str(number): item for number, item in enumerate(value, start=1)}
    return value


def _cut_short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else text[:77] + "..."
