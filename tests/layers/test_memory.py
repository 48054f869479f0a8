"""What a network remembers, and that nothing but training writes it."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from pyramids import pyramid
from safetensors.torch import load_file, save_file
from torch import Tensor

from geohier.config.memory import MemoryConfig
from geohier.config.model import ModelConfig
from geohier.errors import ModelError
from geohier.layers.memory import (
    CELLS,
    LevelMemory,
    build_memory,
    check_classes,
    label_counts,
    majority,
    name_classes,
)
from geohier.layers.memory_bank import Bank
from geohier.models.hierarchy import HierarchicalSegmenter
from geohier.models.receptive_field import measure_receptive_field
from geohier.models.segmentation import build_segmenter

CHANNELS = (8, 8, 12)


def memory(**values: object) -> LevelMemory:
    torch.manual_seed(0)
    config = MemoryConfig.model_validate({"slots": 2, **values})
    built = build_memory(config, CHANNELS, classes=3)
    assert isinstance(built, LevelMemory)
    return built


def labels(batch: int = 2, seed: int = 0) -> Tensor:
    """Classes in squares of 16 pixels: each cell of each level is of one class."""
    coarse = torch.randint(0, 3, (batch, 8, 8), generator=torch.Generator().manual_seed(seed))
    return coarse.repeat_interleave(16, 1).repeat_interleave(16, 2)


def taught(steps: int = 6, **values: object) -> LevelMemory:
    """A memory of levels that say which class they are of, with readings that matter."""
    built = memory(**values)
    for step in range(steps):
        built(telling(labels(seed=step), seed=step))
        built.write(labels(seed=step), total=alone)
    with torch.no_grad():
        for bank in built.banks:
            bank.project.weight.copy_(torch.eye(len(bank.project.weight)))
    return built.eval()


def telling(truth: Tensor, seed: int = 0) -> list[Tensor]:
    """Levels whose first channels say the class, on top of noise."""
    found = pyramid(CHANNELS, side=32, batch=len(truth), seed=seed)
    for level in found:
        cells = cell_classes(truth, *level.shape[-2:], classes=3)
        for one in range(3):
            level[:, one] += 8 * (cells == one)
    return found


def cell_classes(truth: Tensor, height: int, width: int, classes: int) -> Tensor:
    return majority(label_counts(truth, height, width, classes))


def alone(own: Tensor) -> Tensor:
    return own


def test_no_slots_are_no_module() -> None:
    assert build_memory(MemoryConfig(), CHANNELS, classes=3) is None


@pytest.mark.parametrize("of", ["classes", "motifs"])
def test_a_memory_that_was_never_written_answers_as_if_it_were_absent(of: str) -> None:
    levels, built = pyramid(CHANNELS), memory(of=of)
    with torch.no_grad():
        for bank in built.banks:
            bank.project.weight.normal_()
    answers, used = built.eval()(levels)
    assert all(torch.equal(one, level) for one, level in zip(answers, levels, strict=True))
    assert all(bool((share[:, 0] == 1).all()) for share in used.values())


def test_a_memory_that_was_wiped_does_so_too() -> None:
    built, levels = taught(), telling(labels())
    assert not torch.equal(built(levels)[0][0], levels[0])
    for bank in built.banks:
        bank.mass.zero_()
    assert all(torch.equal(a, b) for a, b in zip(built(levels)[0], levels, strict=True))


def test_it_starts_as_if_it_were_absent_whatever_is_written() -> None:
    built, levels = memory(), telling(labels())
    built(levels)
    built.write(labels(), total=alone)
    assert all(torch.equal(a, b) for a, b in zip(built(levels)[0], levels, strict=True))


def test_cells_read_of_the_class_that_they_look_like() -> None:
    truth = labels(seed=77)
    _, used = taught()(telling(truth, seed=77))
    for at in range(3):
        share = used[f"memory.{at}"]
        assert share.shape[1] == 1 + 3
        torch.testing.assert_close(share.sum(1), torch.ones_like(share[:, 0]))
        found = share[:, 1:].argmax(1)
        right = found == cell_classes(truth, *found.shape[-2:], classes=3)
        assert float(right.float().mean()) > 0.95


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


def test_what_a_cell_reads_depends_on_this_cell_alone() -> None:
    built, levels = taught(), telling(labels())
    other = [level.clone() for level in levels]
    for level in other:
        level[..., level.shape[-1] // 2 :] = level[..., level.shape[-1] // 2 :].flip(-1)
    for one, same in zip(built(levels)[0], built(other)[0], strict=True):
        half = one.shape[-1] // 2
        assert torch.equal(one[..., :half], same[..., :half])


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


def test_saved_and_loaded_it_answers_the_same(tmp_path: Path) -> None:
    built, levels = taught(), telling(labels())
    save_file(built.state_dict(), tmp_path / "memory.safetensors")
    other = memory().eval()
    other.load_state_dict(load_file(tmp_path / "memory.safetensors"))
    assert all(torch.equal(a, b) for a, b in zip(built(levels)[0], other(levels)[0], strict=True))


def test_gradients_reach_its_weights_and_all_levels_but_not_the_bank() -> None:
    built = taught()
    levels = [level.requires_grad_() for level in telling(labels())]
    sum(one.square().sum() for one in built(levels)[0]).backward()
    for name, parameter in built.named_parameters():
        assert parameter.grad is not None, name
        assert bool(parameter.grad.any()), name
    assert all(bool(level.grad.any()) for level in levels)
    assert not any(buffer.requires_grad for buffer in built.buffers())


def test_it_runs_and_writes_in_bf16_with_a_bank_in_float32() -> None:
    built, levels = taught(), telling(labels())
    plain, _ = built(levels)
    with torch.autocast("cpu", torch.bfloat16):
        coarse, _ = built(levels)
        built.train()([level.bfloat16() for level in levels])
        built.write(labels(), total=alone)
    for one, near in zip(plain, coarse, strict=True):
        torch.testing.assert_close(one, near.float(), rtol=0.1, atol=0.2)
    assert all(bank.sums.dtype == torch.float32 for bank in built.banks)
    assert all(bool(bank.sums.isfinite().all()) for bank in built.banks)


def test_a_memory_of_other_classes_is_refused() -> None:
    built = taught()
    check_classes(built, ["a", "b", "c"])  # of nobody's yet
    name_classes(built, ["a", "b", "c"])
    check_classes(built, ["a", "b", "c"])
    with pytest.raises(ModelError, match="written of other classes than b a c, or in another"):
        check_classes(built, ["b", "a", "c"])


def network(**of_memory: object) -> HierarchicalSegmenter:
    torch.manual_seed(0)
    values = {
        "encoder": "test_resnet",
        "decoder": "hierarchy",
        "encoder_depth": 4,
        "pyramid_channels": 32,
        "segmentation_channels": 32,
        "hierarchy": {"memory": of_memory},
    }
    built = build_segmenter(ModelConfig.model_validate(values), bands=3, classes=2)
    assert isinstance(built, HierarchicalSegmenter)
    return built


def test_in_a_network_it_stands_before_the_merge_and_off_it_is_absent() -> None:
    on, off, image = network(slots=4), network().eval(), torch.randn(1, 3, 64, 64)
    more = on.state_dict().keys() - off.state_dict().keys()
    assert more
    assert all(key.startswith("memory.") for key in more)
    assert isinstance(on.memory, LevelMemory)
    on(torch.randn(2, 3, 64, 64))
    on.memory.write(labels(2)[:, :64, :64].clamp(max=1), total=alone)
    off.load_state_dict({k: v for k, v in on.state_dict().items() if k not in more})
    assert torch.equal(on.eval()(image), off(image))
    for bank in on.memory.banks:
        torch.nn.init.eye_(bank.project.weight)
    assert not torch.equal(on(image), off(image))
    assert not torch.equal(on.levels(image)[0], off.levels(image)[0])
    assert not measure_receptive_field(on, 3, stride=16, largest_px=512).tile_dependent


@pytest.mark.parametrize("values", [{"keep": 0.5}, {"of": "motifs"}])
def test_options_of_a_memory_that_is_not_there_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="but slots is 0"):
        MemoryConfig.model_validate(values)
