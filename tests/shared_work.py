"""What processes that have met do in tests: they start anew, so it has to lie in a module."""

import os
import signal
from pathlib import Path

import torch
from torch import distributed

from geohier.errors import LabelError
from geohier.training.ranks import current_rank, share_changes, summed, whole_batch


def write_what_is_shared(folder: Path) -> None:
    """Write down what a process gets of whatever both bring."""
    number = current_rank().number
    own = torch.tensor([[0.0, 1.0], [4.0, 5.0]])[:, [number]].requires_grad_()  # chips of a pixel
    batch = whole_batch(own)
    batch.square().sum().backward()
    before = [torch.tensor([1.0, 0.1]), torch.tensor(7)]
    after = [torch.tensor([1.0 + number, 0.1]), torch.tensor(8)]
    share_changes(after, before)
    assert own.grad is not None
    found = [batch.detach(), own.grad, *after, summed(torch.tensor([1 + number]))]
    torch.save(found, folder / f"{number}.pt")


def fail_in_one() -> None:
    """Raise in the second process what geohier would; the first one waits for it."""
    if current_rank().number == 1:
        raise _OfManyWordsError("a.tif", 7)
    distributed.barrier()


def break_in_one() -> None:
    """Raise in the second process what nobody foresaw."""
    if current_rank().number == 1:
        raise ZeroDivisionError("a bug")
    distributed.barrier()


def be_killed() -> None:
    """Die as a process does that the system takes the memory of."""
    if current_rank().number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    distributed.barrier()


class _OfManyWordsError(LabelError):
    def __init__(self, name: str, value: int) -> None:
        super().__init__(f"{name}: holds {value}: name its class")
