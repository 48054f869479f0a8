"""Latents of a pyramid: what is expected, what is drawn, and what that changes."""

from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from pyramids import awakened, pyramid
from safetensors.torch import load_file, save_file
from torch import Tensor

from geohier.config.hierarchy import HierarchyConfig
from geohier.layers.latents import LevelLatents, Normal, build_latents

CHANNELS = (8, 8, 8, 8)


def config(levels: int = 3) -> HierarchyConfig:
    return HierarchyConfig.model_validate({"latents": {"levels": levels}})


def latents(levels: int = 3) -> LevelLatents:
    torch.manual_seed(0)
    built = build_latents(config(levels), 8)
    assert built is not None
    return built


def speaking(levels: int = 3) -> LevelLatents:
    """Latents whose draws change levels."""
    built = awakened(latents(levels))
    assert isinstance(built, LevelLatents)
    return built


def at_random(number: int, level: Tensor, prior: Normal) -> Tensor:
    generator = torch.Generator().manual_seed(number)
    return prior.at(torch.randn(prior.mean.shape, generator=generator))


def test_no_levels_are_no_module() -> None:
    assert build_latents(config(0), 8) is None


def test_they_start_as_if_they_were_absent_whatever_is_drawn() -> None:
    levels, built = pyramid(CHANNELS), latents()
    for draw in ({}, {"draw": at_random}):
        answers, used = built(levels, **draw)
        assert all(torch.equal(one, level) for one, level in zip(answers, levels, strict=True))
    assert {name: tuple(one.shape) for name, one in used.items()} == {
        f"{what}.{at}": (1, 2, 32 >> at, 32 >> at)
        for at in (3, 2, 1)
        for what in ("latents", "deviation")
    }


@pytest.mark.parametrize("changed", [1, 2, 3])
def test_a_draw_changes_its_level_and_finer_ones_around_its_cell_alone(changed: int) -> None:
    levels, built = pyramid(CHANNELS), speaking()
    cell = slice(1, 2), slice(2, 3)

    def other(number: int, level: Tensor, prior: Normal) -> Tensor:
        drawn = torch.zeros_like(prior.mean)
        if number == changed:
            drawn[..., cell[0], cell[1]] = 1
        return drawn

    before, _ = built(levels, lambda number, level, prior: torch.zeros_like(prior.mean))
    after, _ = built(levels, other)
    for number, (one, two) in enumerate(zip(before, after, strict=True)):
        differs = (one != two).any(dim=1)[0]
        if number > changed:
            assert not differs.any()
            continue
        times = 1 << (changed - number)
        assert differs[times : 2 * times, 2 * times : 3 * times].all()
        differs[: 3 * times, times : 4 * times] = False  # enlarging reaches into the next cell
        assert not differs.any()


def test_what_is_expected_depends_on_what_was_drawn_on_coarser_levels() -> None:
    levels, built = pyramid(CHANNELS), speaking()
    expected: list[dict[int, Normal]] = []
    for shift in (0.0, 1.0):
        found: dict[int, Normal] = {}

        def draw(
            number: int,
            level: Tensor,
            prior: Normal,
            shift: float = shift,
            found: dict[int, Normal] = found,
        ) -> Tensor:
            found[number] = prior
            return prior.mean + (shift if number == 2 else 0)

        built(levels, draw)
        expected.append(found)
    one, two = expected
    assert torch.equal(one[3].mean, two[3].mean)
    assert torch.equal(one[2].mean, two[2].mean)
    assert not torch.equal(one[1].mean, two[1].mean)
    assert not torch.equal(one[1].log_deviation, two[1].log_deviation)


def test_gradients_reach_every_weight_and_every_level() -> None:
    levels = [level.requires_grad_() for level in pyramid(CHANNELS)]
    built = speaking()
    sum(one.square().sum() for one in built(levels, at_random)[0]).backward()
    for name, parameter in built.named_parameters():
        assert parameter.grad is not None, name
        assert bool(parameter.grad.any()), name
    assert all(level.grad is not None and bool(level.grad.any()) for level in levels)


def test_saved_and_loaded_they_answer_the_same(tmp_path: Path) -> None:
    built, levels = speaking(), pyramid(CHANNELS)
    save_file(built.state_dict(), tmp_path / "latents.safetensors")
    other = latents().eval()
    other.load_state_dict(load_file(tmp_path / "latents.safetensors"))
    pairs = zip(built(levels, at_random)[0], other(levels, at_random)[0], strict=True)
    assert all(torch.equal(one, two) for one, two in pairs)


def test_they_run_in_bf16_and_with_channels_last() -> None:
    built, levels = speaking(), pyramid(CHANNELS)
    plain, _ = built(levels, at_random)
    with torch.autocast("cpu", torch.bfloat16):
        coarse, used = built([level.bfloat16() for level in levels], at_random)
    last, _ = built([one.to(memory_format=torch.channels_last) for one in levels], at_random)
    assert all(one.dtype == torch.float32 for one in used.values())
    for one, near, same in zip(plain, coarse, last, strict=True):
        torch.testing.assert_close(one, near.float(), rtol=0.1, atol=0.2)
        torch.testing.assert_close(one, same)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"latents": {"channels": 4}}, "but levels is 0"),
        ({"latents": {"weight": 2}}, "but levels is 0"),
        ({"latents": {"levels": 5}}, "latents.levels is 5, but levels is 4"),
        ({"latents": {"levels": 2, "weight": 0}}, "greater than 0"),
    ],
    ids=str,
)
def test_latents_that_cannot_be_are_refused(values: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        HierarchyConfig.model_validate(values)
