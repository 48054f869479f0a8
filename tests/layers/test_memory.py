"""What a network reads of its memory, and how it is kept."""

from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from pyramids import pyramid
from safetensors.torch import load_file, save_file
from taught_memories import CHANNELS, alone, cell_classes, labels, memory, taught, telling

from geohier.config.memory import MemoryConfig
from geohier.config.model import ModelConfig
from geohier.errors import ModelError
from geohier.layers.memory import LevelMemory, build_memory, check_classes, name_classes
from geohier.models.hierarchy import HierarchicalSegmenter
from geohier.models.receptive_field import measure_receptive_field
from geohier.models.segmentation import build_segmenter


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
    assert all(bool(bank.mass.any()) for bank in built.banks)
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


def test_what_a_cell_reads_depends_on_this_cell_alone() -> None:
    built, levels = taught(), telling(labels())
    other = [level.clone() for level in levels]
    for level in other:
        level[..., level.shape[-1] // 2 :] = level[..., level.shape[-1] // 2 :].flip(-1)
    for one, same in zip(built(levels)[0], built(other)[0], strict=True):
        half = one.shape[-1] // 2
        assert torch.equal(one[..., :half], same[..., :half])


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
