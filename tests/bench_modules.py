"""Modules of tests/bench, which import each other by plain names."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

BENCH = Path(__file__).resolve().parent / "bench"


@contextmanager
def bench_module(name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """Import a module of the benches; what it imports by plain names is forgotten afterwards."""
    known = set(sys.modules)
    monkeypatch.syspath_prepend(BENCH)
    yield import_module(name)
    for one in set(sys.modules) - known:
        file = getattr(sys.modules[one], "__file__", None) or ""
        if Path(file).parent == BENCH:
            del sys.modules[one]
