"""What is written to a memory, by whom, and how much."""

from collections.abc import Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from taught_memories import alone, cell_classes, labels, memory, taught, telling
from torch import Tensor

from geohier.layers.memory import CELLS, LevelMemory
from geohier.layers.memory_bank import Bank


def test_prototypes_of_a_class_differ_where_its_cells_do() -> None:
    """Cells of the one class look one of two ways; each gets a slot of its own."""
    generator = torch.Generator().manual_seed(0)
    ways = torch.randn(2, 8, generator=generator)
    bank = Bank(8, groups=2, slots=2, keep=0.9)
    for _ in range(60):
        which = torch.arange(100) % 2
        cells = ways[which] + 0.05 * torch.randn(100, 8, generator=generator)
        bank.write(cells, torch.ones(100, dtype=torch.int64), total=alone)
    means = bank.sums[2:] / bank.mass[2:, None]
    distances = torch.cdist(ways, means).sort(1).values
    assert bool((distances[:, 0] < 0.1).all())
    assert bool((distances[:, 1] > 1).all())
    assert not bool(bank.mass[:2].any())


def test_a_slot_that_no_cell_comes_to_any_more_is_given_anew() -> None:
    """One slot is left behind where no cell is; the two ways of today would share the other."""
    generator = torch.Generator().manual_seed(0)
    here, aside = torch.linalg.qr(torch.randn(8, 2, generator=generator))[0].t() * 4
    bank, group = Bank(8, groups=1, slots=2, keep=0.5), torch.zeros(50, dtype=torch.int64)
    before, today = torch.stack([here, -here]), torch.stack([here + aside, here - 0.5 * aside])
    for ways in [before] * 10 + [today] * 40:
        noise = 0.05 * torch.randn(50, 8, generator=generator)
        bank.write(ways[torch.arange(50) % 2] + noise, group, total=alone)
    means = bank.sums / bank.mass[:, None]
    assert bool((torch.cdist(today, means).amin(1) < 0.1).all())


def test_a_class_without_cells_keeps_its_prototypes() -> None:
    built = taught()
    before = built.banks[0].sums.clone()
    built.train()(telling(labels()))
    built.write(torch.zeros_like(labels()), total=alone)
    after = built.banks[0].sums
    assert torch.equal(before[2:], after[2:])
    assert not torch.equal(before[:2], after[:2])


def test_prediction_never_writes() -> None:
    built = taught()
    before = {name: value.clone() for name, value in built.state_dict().items()}
    built(telling(labels()))
    built.write(labels(), total=alone)  # nothing was seen in training mode
    after = built.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_a_batch_that_was_forgotten_is_not_written() -> None:
    built = memory()
    built(telling(labels()))
    built.forget()
    built.write(labels(), total=alone)
    assert not any(bool(bank.mass.any()) for bank in built.banks)


@pytest.mark.slow
def test_ten_thousand_writes_take_no_more_room() -> None:
    bank = Bank(4, groups=3, slots=2, keep=0.99)
    shapes = {name: value.shape for name, value in bank.state_dict().items()}
    cells = torch.randn(12, 4, generator=torch.Generator().manual_seed(0))
    groups = torch.arange(12) % bank.groups
    for step in range(10_000):
        bank.write(cells.roll(step, 0), groups.roll(step, 0), total=alone)
    assert {name: value.shape for name, value in bank.state_dict().items()} == shapes
    assert all(bool(value.isfinite().all()) for value in bank.state_dict().values())
    assert float(bank.mass.sum()) <= len(cells) * 1.001


def test_a_step_writes_no_more_than_so_many_cells_of_a_chip() -> None:
    built = memory(slots=1)
    built(telling(torch.zeros(2, 512, 512, dtype=torch.int64)[:, ::4, ::4]))
    levels = [torch.randn(2, 8, 64, 64), torch.randn(2, 8, 32, 32), torch.randn(2, 12, 16, 16)]
    built(levels)
    built.write(torch.zeros(2, 128, 128, dtype=torch.int64), total=alone)
    assert [float(bank.mass.sum()) for bank in built.banks] == [2 * CELLS, 2 * 1024, 2 * 256]


def split(chips: Sequence[int], truth: Tensor, levels: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
    return truth[chips], [level[chips] for level in levels]


def test_however_chips_are_shared_out_the_sums_are_the_same() -> None:
    """Two memories that add up what they bring, in turns, hold what one holds that saw it all."""
    whole, parts = memory(), [memory(), memory()]
    for step in range(5):
        truth = labels(batch=4, seed=step)
        levels = telling(truth, seed=step)
        whole(levels)
        whole.write(truth, total=alone)
        replay_together(parts, truth, levels)
    for name, value in whole.state_dict().items():
        for part in parts:
            torch.testing.assert_close(part.state_dict()[name], value, rtol=1e-4, atol=1e-4)


def replay_together(parts: list[LevelMemory], truth: Tensor, levels: list[Tensor]) -> None:
    """Let two processes write: each exchange of sums is found out by writing up to it first."""
    known: list[Tensor] = []
    own = [split([at, at + 2], truth, levels) for at in range(2)]
    for exchange in range(2 * len(levels)):
        brought = []
        for part, (of_own, seen) in zip(parts, own, strict=True):
            before = {name: value.clone() for name, value in part.state_dict().items()}
            part(seen)
            brought.append(stopped_at(part, of_own, [*known]))
            part.load_state_dict(before)
        known.append(brought[0] + brought[1])
        assert len(known) == exchange + 1
    for part, (of_own, seen) in zip(parts, own, strict=True):
        answers = iter(known)
        part(seen)
        part.write(of_own, total=lambda _, answers=answers: next(answers))


class ReachedError(Exception):
    """The exchange that was looked for."""


def stopped_at(part: LevelMemory, truth: Tensor, known: list[Tensor]) -> Tensor:
    found: list[Tensor] = []

    def total(brought: Tensor) -> Tensor:
        if known:
            return known.pop(0)
        found.append(brought)
        raise ReachedError

    with pytest.raises(ReachedError):
        part.write(truth, total=total)
    return found[0]


@given(st.integers(0, 2**16), st.sampled_from([1, 2, 4]))
def test_a_cell_is_of_the_class_that_most_of_its_labels_have(seed: int, stride: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    truth = torch.randint(0, 4, (2, 8, 12), generator=generator)
    truth[truth == 3] = 255
    found = cell_classes(truth, 8 // stride, 12 // stride, classes=3)
    for at, row, col in torch.cartesian_prod(*(torch.arange(n) for n in found.shape)).tolist():
        cell = truth[
            at, row * stride : (row + 1) * stride, col * stride : (col + 1) * stride
        ].flatten()
        known = cell[cell != 255].tolist()
        most = [one for one in range(3) if 2 * known.count(one) > len(known)]
        assert found[at, row, col] == (most[0] if most else -1)


@pytest.mark.parametrize("of", ["classes", "motifs"])
def test_cells_of_pixels_that_do_not_count_are_not_written(of: str) -> None:
    built, truth = memory(of=of, slots=1), labels()
    counted = torch.zeros_like(truth, dtype=torch.bool)
    counted[:, :, 16:64] = True
    counted[:, 64:66, :16] = True  # half of a cell of the finest level
    built(telling(truth))
    built.write(truth, total=alone, counted=counted)
    cells = [float(bank.mass.sum()) for bank in built.banks]
    assert cells == [2 * 32 * 12, 2 * 16 * 6, 2 * 8 * 3]
