"""What holds of every attention, and what tells them apart."""

from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from pyramids import awakened, pyramid, saved_elements
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from geohier.config.attention import AttentionConfig
from geohier.config.hierarchy import HierarchyConfig
from geohier.config.model import ModelConfig
from geohier.layers.attention import build_attention
from geohier.models.hierarchy import HierarchicalSegmenter
from geohier.models.receptive_field import measure_receptive_field
from geohier.models.segmentation import build_segmenter

CHANNELS = (8, 8, 12)
KINDS: dict[str, dict[str, object]] = {
    "window": {"kind": "self", "window": 5, "levels": 3},
    "global": {"kind": "self", "reach": "global", "levels": 3},
    "channel": {"kind": "channel", "levels": 3},
    "spatial": {"kind": "spatial", "levels": 3},
    "channel_spatial": {"kind": "channel_spatial", "levels": 3},
    "cross_level": {"kind": "cross_level"},
    "hierarchical": {"kind": "hierarchical", "levels": 2, "window": 3},
}
LOCAL = ("window", "spatial", "cross_level", "hierarchical")
every_kind = pytest.mark.parametrize("name", KINDS)


def attention(name: str, channels: tuple[int, ...] = CHANNELS) -> nn.Module:
    torch.manual_seed(0)
    part = build_attention(AttentionConfig.model_validate(KINDS[name]), channels)
    assert part is not None
    return part


def test_no_attention_is_no_module() -> None:
    assert build_attention(AttentionConfig(), CHANNELS) is None


@every_kind
def test_it_starts_as_if_it_were_absent(name: str) -> None:
    levels = pyramid()
    answers, _ = attention(name).eval()(levels)
    assert all(torch.equal(one, level) for one, level in zip(answers, levels, strict=True))


@every_kind
def test_it_does_something_once_it_has_learnt(name: str) -> None:
    levels = pyramid()
    answers, _ = awakened(attention(name))(levels)
    for answer, level in zip(answers, levels, strict=True):
        assert answer.shape == level.shape
        assert answer.isfinite().all()
    changed = [not torch.equal(a, b) for a, b in zip(answers, levels, strict=True)]
    assert changed == ([True, True, False] if name == "cross_level" else [*changed[:1], True, True])


@every_kind
def test_the_first_step_reaches_what_starts_at_nothing_and_later_ones_everything(name: str) -> None:
    part = attention(name)
    sum(level.square().sum() for level in part(pyramid())[0]).backward()
    assert any(bool(one.grad.any()) for one in part.parameters() if one.grad is not None)
    part = awakened(part)
    part.zero_grad()
    levels = [level.requires_grad_() for level in pyramid()]
    sum(level.square().sum() for level in part(levels)[0]).backward()
    for key, parameter in part.named_parameters():
        assert parameter.grad is not None, key
        assert bool(parameter.grad.any()), key
    assert all(bool(level.grad.any()) for level in levels)


@every_kind
def test_saved_and_loaded_it_answers_the_same(name: str, tmp_path: Path) -> None:
    part = awakened(attention(name))
    save_file(part.state_dict(), tmp_path / "part.safetensors")
    torch.manual_seed(5)
    other = build_attention(AttentionConfig.model_validate(KINDS[name]), CHANNELS)
    assert other is not None
    other.eval().load_state_dict(load_file(tmp_path / "part.safetensors"))
    for one, same in zip(part(pyramid())[0], other(pyramid())[0], strict=True):
        assert torch.equal(one, same)


@every_kind
def test_it_runs_in_bf16_and_whatever_the_order_in_memory(name: str) -> None:
    part = awakened(attention(name))
    plain = part(pyramid())[0]
    last = part([one.contiguous(memory_format=torch.channels_last) for one in pyramid()])[0]
    with torch.autocast("cpu", torch.bfloat16):
        coarse = part(pyramid())[0]
    for one, same, near in zip(plain, last, coarse, strict=True):
        torch.testing.assert_close(one, same)
        torch.testing.assert_close(one, near.float(), rtol=0.1, atol=0.1)


def far_changed(levels: list[Tensor], cells: int) -> list[Tensor]:
    """Permute the places in the right half of all levels, away from the left edge."""
    order = torch.randperm(cells * cells // 2, generator=torch.Generator().manual_seed(2))
    changed = []
    for level in levels:
        half = level.shape[-1] // 2
        right = level[..., half:].flatten(-2)
        mixed = right[..., order[order < right.shape[-1]]]
        changed.append(torch.cat([level[..., :half], mixed.view_as(level[..., half:])], -1))
    return changed


@every_kind
def test_permuting_far_context_changes_answers_only_where_they_look_so_far(name: str) -> None:
    """On levels of 64, 32 and 16 cells, all that is right of the middle changes places."""
    part, levels = awakened(attention(name)), pyramid(side=64)
    before, after = part(levels)[0], part(far_changed(levels, 64))[0]
    moved = [(a - b).abs().amax(1)[0] for a, b in zip(before, after, strict=True)]
    assert any(bool(one[:, one.shape[1] // 2 :].any()) for one in moved)
    edge = [bool((one[:, :8] > 1e-6).any()) for one in moved[:2]]
    assert any(edge) == (name == "global")


@pytest.mark.parametrize("name", ["channel", "channel_spatial"])
def test_weighing_channels_goes_by_the_whole_tile(name: str) -> None:
    part, levels = awakened(attention(name)), pyramid(side=64)
    brighter = [level.clone() for level in levels]
    for level in brighter:
        level[..., -4:] += 3
    moved = (part(levels)[0][0] - part(brighter)[0][0]).abs().amax(1)[0]
    assert bool((moved[:, :8] > 1e-6).any())


@pytest.mark.parametrize("name", LOCAL)
@pytest.mark.parametrize("shift", [4, 12, 20])
def test_answers_do_not_depend_on_where_the_tile_begins(name: str, shift: int) -> None:
    """A tile that begins elsewhere, at a multiple of the coarsest cell, sees the same inside."""
    part, levels = awakened(attention(name)), pyramid(side=80)
    whole, _ = part(levels)
    cut, _ = part([level[..., shift >> at :, shift >> at :] for at, level in enumerate(levels)])
    for at, (one, other) in enumerate(zip(whole, cut, strict=True)):
        margin = 24 >> at
        inside = other[..., margin:-margin, margin:-margin]
        same = one[..., shift >> at :, shift >> at :][..., margin:-margin, margin:-margin]
        torch.testing.assert_close(inside, same, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["window", "cross_level", "hierarchical", "spatial"])
def test_memory_grows_with_the_number_of_pixels(name: str) -> None:
    part = awakened(attention(name))
    small, large = (
        saved_elements(lambda side=side: part(pyramid(side=side))[0]) for side in (32, 128)
    )
    assert small < large < 1.1 * 16 * small


@every_kind
def test_what_it_used_says_how_much_each_level_counted(name: str) -> None:
    levels = pyramid()
    _, used = awakened(attention(name))(levels)
    assert used
    for key, share in used.items():
        part, at = key.split(".")
        assert share.shape[-2:] == levels[int(at)].shape[-2:]
        assert bool(((share >= 0) & (share <= 1)).all())
        if part == "cross_level":
            assert share.shape[1] == len(levels) - int(at)
            torch.testing.assert_close(share.sum(1), torch.ones_like(share[:, 0]))


@every_kind
def test_it_takes_levels_of_any_size(name: str) -> None:
    part = awakened(attention(name))
    levels = [
        torch.randn(2, c, 4 * h, 4 * w)
        for c, h, w in zip(CHANNELS, (12, 6, 3), (4, 2, 1), strict=True)
    ]
    answers, _ = part(levels)
    assert [one.shape for one in answers] == [one.shape for one in levels]
    assert all(bool(one.isfinite().all()) for one in answers)


def test_more_levels_than_there_are_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"attention\.levels is 4, but levels is 3"):
        HierarchyConfig(levels=3, attention=AttentionConfig(kind="self", levels=4))


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"kind": "self", "window": 4}, "4 is even"),
        ({"kind": "channel", "heads": 2}, "heads is of kind self or hierarchical or cross_level"),
        ({"kind": "self", "cells": 5}, "cells is of kind cross_level or hierarchical"),
        ({"window": 3}, "but kind is none"),
        ({"kind": "self", "reach": "global", "window": 3}, "but reach is global"),
        ({"kind": "cross_level", "levels": 3}, "levels is of kind self or hierarchical or channel"),
    ],
)
def test_options_that_would_do_nothing_are_refused(values: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        AttentionConfig.model_validate(values)


def network(**attention: object) -> HierarchicalSegmenter:
    torch.manual_seed(0)
    built = build_segmenter(
        ModelConfig.model_validate(
            {
                "encoder": "test_resnet",
                "decoder": "hierarchy",
                "encoder_depth": 4,
                "pyramid_channels": 32,
                "segmentation_channels": 32,
                "hierarchy": {"attention": attention},
            }
        ),
        bands=3,
        classes=2,
    )
    assert isinstance(built, HierarchicalSegmenter)
    return built.eval()


def used_by(name: str, levels: int) -> set[str]:
    """Return what an attention says of itself: of the levels that it is on, and reads others from.

    The coarsest level has no coarser one to read from.
    """
    within = range(levels - int(str(KINDS[name].get("levels", 0))), levels)
    across = range(levels - 1 if name in ("cross_level", "hierarchical") else 0)
    return {f"attention.{at}" for at in within} | {f"cross_level.{at}" for at in across}


@every_kind
def test_in_a_network_it_stands_between_fusion_and_merge(name: str) -> None:
    """Off, the network has the parameters and the answer that it has without."""
    off, on, image = network(kind="none"), network(**KINDS[name]), torch.randn(1, 3, 64, 64)
    more = on.state_dict().keys() - off.state_dict().keys()
    assert more
    assert all(key.startswith("decoder.attention.") for key in more)
    off.load_state_dict({k: v for k, v in on.state_dict().items() if k not in more})
    assert torch.equal(on(image), off(image))
    awakened(on.decoder.attention)
    assert not torch.equal(on(image), off(image))
    assert set(on.look(image).used) == used_by(name, levels=4)


@pytest.mark.parametrize(
    ("name", "dependent"),
    [("window", False), ("hierarchical", False), ("global", True), ("channel", True)],
)
def test_it_is_measured_whether_answers_depend_on_the_tile(name: str, dependent: bool) -> None:
    built = network(**{**KINDS[name], "levels": 2})
    awakened(built.decoder.attention)
    field = measure_receptive_field(built, 3, stride=16, largest_px=256 if dependent else 1024)
    assert field.tile_dependent == dependent
