"""Who a bare module is: a hash of its weights, and of the Python that computes with them.

A model directory is known by the digests of its files. A module has no files: two with the same
weights answer differently if a number that is kept beside them differs, or a line of `forward`.
"""

import dataclasses
import functools
import hashlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from pathlib import PurePath
from types import (
    BuiltinFunctionType,
    BuiltinMethodType,
    CellType,
    CodeType,
    FunctionType,
    MethodType,
)

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from geohier.models.card import ModelCard

INTERNALS = frozenset(vars(nn.Module()))
"""Attributes that every module has; what they hold is looked at by other ways."""


def module_sha256(module: nn.Module, card: ModelCard) -> str:
    """Return a hash that changes with whatever is known to change a module's answers.

    It covers the card, all parameters and buffers, and for each submodule: its class with the code
    and the constants of its methods, its forward hooks, and its attributes that are numbers,
    texts, arrays, functions, or collections and dataclasses of these. Of the functions that a
    method calls, those of its own file count with their code, others by name. An attribute of
    another kind counts by its type only, and so does the code of a TorchScript module. Another
    version of Python may give another hash.
    """
    return _digest([repr(card), *_Description().of_module(module)])


class _Description:
    """Turns what a module is made of into texts: equal texts, equal effects."""

    def __init__(self) -> None:
        self._done: dict[int, str] = {}
        self._kept: list[object] = []

    def of_module(self, module: nn.Module) -> Iterator[object]:
        for name, part in module.named_modules():
            hooks = [*part._forward_pre_hooks.values(), *part._forward_hooks.values()]
            yield name, self._class(type(part)), self.of(_attributes(part)), self.of(hooks)
        for name, tensor in itertools.chain(module.named_parameters(), module.named_buffers()):
            yield name, self.of(tensor)

    def of(self, value: object) -> str:
        match value:
            case None | bool() | int() | float() | complex() | str() | bytes():
                return f"{type(value).__name__} {value!r}"
            case torch.dtype() | torch.device() | Enum() | PurePath() | range():
                return repr(value)
            case type() | BuiltinFunctionType() | BuiltinMethodType():
                return _name(value)
        if id(value) not in self._done:
            self._kept.append(value)  # so that no other object gets its id
            self._done[id(value)] = _name(type(value))  # where it leads back to itself
            self._done[id(value)] = _digest([_name(type(value)), self._inside(value)])
        return self._done[id(value)]

    def _inside(self, value: object) -> object:
        match value:
            case Tensor() | np.ndarray() | np.generic():
                return _numbers(value)
            case tuple() | list():
                return [self.of(item) for item in value]
            case set() | frozenset():
                return sorted(map(self.of, value))
            case Mapping():
                return [(self.of(key), self.of(item)) for key, item in value.items()]
            case nn.Module():
                return list(self.of_module(value))
        if dataclasses.is_dataclass(value):
            return [self.of(getattr(value, field.name)) for field in dataclasses.fields(value)]
        return self._code(value)

    def _code(self, value: object) -> object:
        """Describe what can be called; of anything else, only the type is known."""
        match value:
            case FunctionType():
                return self._function(value)
            case CodeType():
                return value.co_code, value.co_names, [self.of(one) for one in value.co_consts]
            case MethodType() | staticmethod() | classmethod():
                return self.of(value.__func__)
            case property():
                return self.of(value.fget)
            case functools.partial():
                return self.of(value.func), self.of(value.args), self.of(value.keywords)
        return ""

    def _class(self, cls: type) -> object:
        """Describe a class with those above it; what belongs to PyTorch counts by its name."""
        own = itertools.takewhile(lambda one: one is not nn.Module, cls.__mro__)
        return [(_name(one), _is_of_torch(one) or self.of(_members(one))) for one in own]

    def _function(self, function: FunctionType) -> object:
        defaults = (function.__defaults__, function.__kwdefaults__)
        cells = map(_content, function.__closure__ or ())
        named = _globals(function)
        return [self.of(one) for one in (function.__code__, *defaults, *cells, dict(named))]


def _numbers(array: Tensor | NDArray[np.generic] | np.generic) -> object:
    """Return data type, shape and a hash of the bytes of an array."""
    if isinstance(array, Tensor):
        whole = array.detach().cpu().contiguous()
        content = whole.flatten().view(torch.uint8).numpy().data
    else:
        content = memoryview(array.tobytes())
    return str(array.dtype), tuple(array.shape), hashlib.sha256(content).hexdigest()


def _attributes(module: nn.Module) -> dict[str, object]:
    return {name: value for name, value in vars(module).items() if name not in INTERNALS}


def _members(cls: type) -> dict[str, object]:
    """Return methods and constants of a class, without what Python notes about it."""
    functions = (FunctionType, staticmethod, classmethod, property)
    return {
        name: value
        for name, value in vars(cls).items()
        if isinstance(value, functions) or not name.startswith("__")
    }


def _globals(function: FunctionType) -> Iterator[tuple[str, object]]:
    """Yield what a function names outside of itself: its file's own functions and constants."""
    for name in sorted(_names(function.__code__)):
        value = function.__globals__.get(name)
        own = isinstance(value, FunctionType) and value.__module__ == function.__module__
        if own or isinstance(value, bool | int | float | complex | str | bytes | tuple):
            yield name, value


def _names(code: CodeType) -> set[str]:
    inner = (_names(one) for one in code.co_consts if isinstance(one, CodeType))
    return set(code.co_names).union(*inner)


def _content(cell: CellType) -> object:
    try:
        contents: object = cell.cell_contents
    except ValueError:  # not filled yet
        return None
    return contents


def _is_of_torch(cls: type) -> bool:
    """Whether PyTorch's version, which every run records, says how a class computes."""
    return cls.__module__.partition(".")[0] == "torch"


def _name(value: type | BuiltinFunctionType) -> str:
    return f"{value.__module__}.{value.__qualname__}"


def _digest(facts: Sequence[object]) -> str:
    return hashlib.sha256("\n".join(map(repr, facts)).encode()).hexdigest()
