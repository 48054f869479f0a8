"""Modules with one hash answer alike, and a module that is built anew keeps its hash."""

import copy
import functools
import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from geohier.geo.bands import Band, BandSet
from geohier.inference.module_identity import module_sha256
from geohier.models.card import ClassLabel, ModelCard

CLASSES = tuple(ClassLabel(name=name, color="#000000") for name in "ab")
CARD = ModelCard(
    bands=BandSet((Band(name="a", dtype="uint8", mean=0, std=1),)),
    classes=CLASSES,
)
SHARED = 3.0


@dataclass(frozen=True)
class Settings:
    gain: float


class Mode(Enum):
    SOFT = 1
    HARD = 2


class Net(nn.Module):
    """Keeps what it is given as an attribute; so may one of its submodules."""

    def __init__(self, kept: object = None, inner: object = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.kept = kept
        self.body = nn.Sequential(nn.Conv2d(1, 2, 1), Inner(inner))

    def forward(self, pixels: Tensor) -> Tensor:
        answer: Tensor = self.body(pixels)
        return answer


class Inner(nn.Module):
    def __init__(self, kept: object) -> None:
        super().__init__()
        self.kept = kept

    def forward(self, pixels: Tensor) -> Tensor:
        return pixels


def sha(module: nn.Module) -> str:
    return module_sha256(module, CARD)


def plus(number: float) -> Callable[[Tensor], Tensor]:
    return lambda pixels: pixels + number


def scaled(pixels: Tensor, *, by: float) -> Tensor:
    return pixels * by


ATTRIBUTES = {
    "number": lambda second: 200 if second else 50,
    "kind of number": lambda second: 1.0 if second else 1,
    "sign of zero": lambda second: -0.0 if second else 0.0,
    "text": lambda second: "mean" if second else "max",
    "tuple": lambda second: (4, 8) if second else (4, 16),
    "list": lambda second: [4, [8, "a"]] if second else [4, [8, "b"]],
    "tuple or list": lambda second: (4,) if second else [4],
    "set": lambda second: {"a", "b", "c"} if second else {"a", "b"},
    "dict": lambda second: {"a": {"b": 1}} if second else {"a": {"b": 2}},
    "dataclass": lambda second: Settings(2) if second else Settings(3),
    "enum": lambda second: Mode.SOFT if second else Mode.HARD,
    "dtype": lambda second: torch.float16 if second else torch.bfloat16,
    "tensor": lambda second: torch.tensor(2.0) if second else torch.tensor(3.0),
    "array": lambda second: np.arange(3) if second else np.arange(3)[::-1],
    "NumPy number": lambda second: np.float32(2) if second else np.float32(3),
    "path": lambda second: Path("a") if second else Path("b"),
    "class": lambda second: nn.ReLU if second else nn.GELU,
    "function": lambda second: torch.relu if second else torch.sigmoid,
    "lambda": lambda second: (lambda x: x * 2) if second else (lambda x: x * 3),
    "closure": lambda second: plus(1) if second else plus(2),
    "partial": lambda second: functools.partial(scaled, by=2 if second else 3),
    "unregistered module": lambda second: [nn.Softmax(0) if second else nn.Softmax(1)],
}


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_another_attribute_of_any_submodule_is_another_module(name: str) -> None:
    make = ATTRIBUTES[name]
    outer = [sha(Net(kept=make(second))) for second in (False, True)]
    inner = [sha(Net(inner=make(second))) for second in (False, True)]
    assert len({*outer, *inner}) == 4
    assert outer == [sha(Net(kept=make(second))) for second in (False, True)], "built anew"


@pytest.mark.parametrize("name", sorted(ATTRIBUTES.keys() - {"lambda", "closure"}))
def test_a_copy_is_the_same_module(name: str) -> None:
    module = Net(kept=ATTRIBUTES[name](False))
    assert sha(copy.deepcopy(module)) == sha(module)
    assert sha(pickle.loads(pickle.dumps(module))) == sha(module)


def defined(code: str) -> nn.Module:
    """Return a module whose class a text defines."""
    names: dict[str, object] = {"nn": nn, "torch": torch, "__name__": "written"}
    exec(code, names)
    module = names["Written"]
    assert isinstance(module, type)
    return module()


WRITTEN = """
FACTOR = 2.0

def helper(x):
    return x + 1

class Base(nn.Module):
    def forward(self, x):
        return torch.sin(self.shift(x)) * FACTOR

class Written(Base):
    radius = 3

    def shift(self, x, by=1):
        inner = lambda y: y - 4
        return helper(inner(x)) + by

    @staticmethod
    def unused():
        return 5

    @property
    def size(self):
        return 6
"""


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("torch.sin", "torch.cos"),
        ("FACTOR = 2.0", "FACTOR = 3.0"),
        ("x + 1", "x + 2"),
        ("x + 1", "x - 1"),
        ("y - 4", "y - 5"),
        ("by=1", "by=2"),
        ("radius = 3", "radius = 4"),
        ("return 5", "return 7"),
        ("return 6", "return 7"),
        ("self.shift(x)", "x"),
    ],
)
def test_another_line_of_code_is_another_module(before: str, after: str) -> None:
    assert before in WRITTEN
    assert sha(defined(WRITTEN)) == sha(defined(WRITTEN))
    assert sha(defined(WRITTEN)) != sha(defined(WRITTEN.replace(before, after, 1)))


def test_a_comment_changes_nothing() -> None:
    assert sha(defined(WRITTEN)) == sha(defined("# why\n" + WRITTEN))


def test_weights_buffers_hooks_and_the_card_count() -> None:
    module = Net()
    seen = [sha(module), module_sha256(module, ModelCard(bands=CARD.bands, classes=CLASSES[::-1]))]
    module.register_buffer("mean", torch.zeros(1), persistent=False)
    seen.append(sha(module))
    module.get_buffer("mean").add_(1)
    seen.append(sha(module))
    with torch.no_grad():
        next(module.parameters()).add_(1)
    seen.append(sha(module))
    hook = module.body.register_forward_hook(lambda *given: given[-1] * 2)
    seen.append(sha(module))
    assert len(set(seen)) == len(seen)
    hook.remove()
    assert sha(module.double()) not in seen


def test_mode_device_format_and_having_run_change_nothing() -> None:
    module = Net(kept=[4, 8])
    before = sha(module)
    module.eval().to(memory_format=torch.channels_last)
    for _ in range(20):  # so often that Python rewrites its own code
        module(torch.zeros(1, 1, 4, 4))
    assert sha(module) == before


def test_what_leads_back_to_itself_has_an_end() -> None:
    module = Net()
    module.kept = [module, [module.body]]
    looped: list[object] = []
    looped.append(looped)
    module.body.kept = looped
    assert sha(module) == sha(module)


def test_another_process_finds_the_same_hash() -> None:
    """Sets of texts have another order in each process, objects another address."""
    code = (
        "import torch; from torch import nn\n"
        "from geohier.geo.bands import Band, BandSet\n"
        "from geohier.inference.module_identity import module_sha256\n"
        "from geohier.models.card import ClassLabel, ModelCard\n"
        "class Net(nn.Module):\n"
        "    def forward(self, x):\n"
        "        return x if self.mode in {'mean', 'max', 'min'} else -x\n"
        "net = Net(); net.mode = 'mean'; net.names = {'a', 'b', 'c', 'd'}; net.other = object()\n"
        "bands = BandSet((Band(name='a', dtype='uint8', mean=0, std=1),))\n"
        "labels = tuple(ClassLabel(name=name, color='#000000') for name in 'ab')\n"
        "print(module_sha256(net, ModelCard(bands=bands, classes=labels)))\n"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout
        for _ in range(2)
    }
    assert len(found) == 1
