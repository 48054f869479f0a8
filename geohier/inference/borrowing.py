"""A module is the caller's: what a run does to it is undone when the run ends, however it ends."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def borrowed(module: nn.Module) -> Iterator[None]:
    """Give a module's mode, device and memory layout back as they are now.

    Its tensors are kept and put back, which costs no copy and moves nothing.
    """
    parts = list(module.modules())
    modes = [(part, part.training) for part in parts]
    parameters = [
        (part, name, parameter, parameter.data)
        for part in parts
        for name, parameter in part.named_parameters(recurse=False)
    ]
    buffers = [
        (part, name, buffer) for part in parts for name, buffer in part.named_buffers(recurse=False)
    ]
    try:
        yield
    finally:
        for part, name, parameter, data in parameters:
            parameter.data = data
            setattr(part, name, parameter)
        for part, name, buffer in buffers:
            setattr(part, name, buffer)
        for part, training in modes:
            part.training = training
