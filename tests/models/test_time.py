"""Networks of several dates: what a date may change, and what it may not."""

import pytest
import torch
from dated_scenes import DATES, images, told
from pyramids import awakened
from torch import Tensor

from geohier.config.model import ModelConfig
from geohier.config.schema import TrainConfig
from geohier.config.time import TimeConfig
from geohier.layers.dates import Stack, stack_of
from geohier.layers.time import LevelTime, build_time
from geohier.models.dated import OfDates, image_channels, reads_dates
from geohier.models.hierarchy import HierarchicalSegmenter
from geohier.models.receptive_field import measure_receptive_field
from geohier.models.segmentation import at_image_resolution, build_segmenter

KINDS = ["ltae", pytest.param("convlstm", marks=pytest.mark.slow)]  # torchgeo takes seconds


def config(kind: str, **time: object) -> ModelConfig:
    return ModelConfig.model_validate(
        {
            "encoder": "test_resnet",
            "decoder": "hierarchy",
            "pyramid_channels": 8,
            "segmentation_channels": 8,
            "hierarchy": {"time": {"kind": kind, **time}},
        }
    )


def network(kind: str, **time: object) -> HierarchicalSegmenter:
    """A network whose parts of time do something, and whose normalisations have seen something."""
    torch.manual_seed(0)
    built = build_segmenter(config(kind, **time), 3, 2)
    assert isinstance(built, HierarchicalSegmenter)
    if built.decoder.time is not None:
        awakened(built.decoder.time)
    with torch.no_grad():
        built.train()(told(images()) if kind != "none" else images()[:, 0])
    return built.eval()


def level_time(kind: str) -> LevelTime:
    torch.manual_seed(0)
    built = build_time(TimeConfig.model_validate({"kind": kind}), (6, 8))
    assert built is not None
    awakened(built)
    return built


def levels(dates: int = 3) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    sizes = ((6, 16), (8, 8))
    return [torch.randn(2, dates, c, side, side, generator=generator) for c, side in sizes]


def half_seen() -> Tensor:
    """Return what the dates saw `(2, 3, 64, 64)`: the first not its left half, none a corner."""
    seen = torch.ones(2, 3, 64, 64, dtype=torch.bool)
    seen[:, 0, :, :32] = False
    seen[:, :, 48:, 48:] = False
    return seen


def test_none_is_no_module_and_the_network_of_one_image() -> None:
    assert build_time(TimeConfig(), (6, 8)) is None
    plain = network("none")
    assert not reads_dates(plain)
    assert not any("time" in name for name in plain.state_dict())
    dated = network("ltae")
    extra = dated.state_dict().keys() - plain.state_dict().keys()
    assert extra == {name for name in dated.state_dict() if name.startswith("decoder.time.")}


@pytest.mark.parametrize("kind", KINDS)
def test_the_order_of_dates_in_the_stack_changes_nothing_but_when_they_were_does(kind: str) -> None:
    built, shown = network(kind), images()
    turned = [2, 0, 1]
    with torch.no_grad():
        answer = built(told(shown))
        same = built(told(shown[:, turned], tuple(DATES[at] for at in turned)))
        other = built(told(shown, tuple(DATES[at] for at in turned)))
    torch.testing.assert_close(same, answer, rtol=1e-4, atol=1e-5)
    assert float((other - answer).abs().max()) > 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_a_date_that_saw_nothing_is_as_if_it_were_left_out(kind: str) -> None:
    built, shown = network(kind), images()
    seen = torch.ones(2, 3, 64, 64, dtype=torch.bool)
    seen[:, 1] = False
    with torch.no_grad():
        masked = built.look(told(shown, seen=seen))
        left_out = built.look(told(shown[:, ::2], DATES[::2]))
    torch.testing.assert_close(masked.logits, left_out.logits, rtol=1e-4, atol=1e-5)
    assert not bool(masked.used["time.0"][:, 1].any())


@pytest.mark.parametrize("kind", KINDS)
def test_chips_of_one_batch_may_have_different_dates(kind: str) -> None:
    built, shown = network(kind), images()
    seen = torch.ones(2, 3, 64, 64, dtype=torch.bool)
    seen[1, 1:] = False
    with torch.no_grad():
        both = built(told(shown, seen=seen))
        alone = built(told(shown[1:, :1], DATES[:1]))
    torch.testing.assert_close(both[1:], alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_date_holds_where_it_is_masked_changes_nothing(kind: str) -> None:
    built, found = level_time(kind), levels()
    stack = stack_of(told(images(), seen=half_seen()), 3)
    answers, used = built(found, stack)
    for at, level in enumerate(found):
        seen = stack.seen_by(*level.shape[-2:])
        other = [*found]
        other[at] = torch.where(seen[:, :, None], level, 99.0)
        torch.testing.assert_close(built(other, stack)[0][at], answers[at])
        none = ~seen.any(1)
        assert bool(none.any())
        assert not bool(answers[at].permute(0, 2, 3, 1)[none].any())
        weights = used[f"time.{at}"]
        assert not bool(weights[~seen].any())
        torch.testing.assert_close(weights.sum(1), seen.any(1).float())


@pytest.mark.parametrize("kind", KINDS)
def test_it_starts_as_the_mean_of_what_the_dates_saw(kind: str) -> None:
    built = build_time(TimeConfig.model_validate({"kind": kind}), (6, 8))
    assert built is not None
    found, stack = levels(), stack_of(told(images(), seen=half_seen()), 3)
    for answer, level in zip(built(found, stack)[0], found, strict=True):
        seen = stack.seen_by(*level.shape[-2:])[:, :, None].float()
        mean = (seen * level).sum(1) / seen.sum(1).clamp(min=1)
        torch.testing.assert_close(answer, mean)


@pytest.mark.parametrize("kind", KINDS)
def test_every_weight_learns_from_all_dates(kind: str) -> None:
    built, image = network(kind).train(), told(images()).requires_grad_()
    built(image).square().sum().backward()
    assert not [name for name, one in built.named_parameters() if one.grad is None]
    assert image.grad is not None
    by_date = torch.unflatten(image.grad, 1, (3, 5))[:, :, :3].abs().sum((0, 2, 3, 4))
    assert bool((by_date > 0).all())


@pytest.mark.parametrize("kind", KINDS)
def test_it_runs_in_bf16_and_with_channels_last_and_comes_back_from_its_state(kind: str) -> None:
    built, image = network(kind), told(images())
    with torch.no_grad():
        answer = built(image)
        laid = built(image.contiguous(memory_format=torch.channels_last))
        with torch.autocast("cpu", torch.bfloat16):
            coarse = built(image)
        again = build_segmenter(config(kind), 3, 2).eval()
        again.load_state_dict(built.state_dict())
        assert torch.equal(again(image), answer)
    torch.testing.assert_close(laid, answer, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(coarse.float(), answer, rtol=0.1, atol=0.1)


def test_dates_are_left_out_in_training_alone_and_never_all() -> None:
    stack: Stack = stack_of(told(images(batch=64, side=2)), 3).thinned(0.6)
    left = (stack.days > 0).sum(1)
    assert int(left.min()) == 1
    assert 64 < int(left.sum()) < 64 * 2
    assert not bool(stack.images[stack.days == 0].any())
    built = network("ltae", drop=0.9)
    with torch.no_grad():
        assert torch.equal(built(told(images())), built(told(images())))
        built.train()
        assert not torch.equal(built(told(images())), built(told(images())))


def test_a_network_of_coarser_pixels_is_told_the_same_dates() -> None:
    built = network("ltae")
    halved = at_image_resolution(built, config("ltae").model_copy(update={"downsample": 2}))
    seen = half_seen()
    seen[:, 2, 1::2] = False
    image = told(images(), seen=seen)
    small = stack_of(halved.shrunk(image), 3)  # type: ignore[operator]
    whole = stack_of(image, 3)
    assert torch.equal(small.days, whole.days)
    assert torch.equal(small.ages, whole.ages)
    assert bool(small.seen[:, 2, :16].all())
    assert halved(image).shape == (2, 2, 64, 64)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_how_far_it_looks_is_measured_on_stacks(kind: str) -> None:
    built = network(kind)
    assert image_channels(built, 3) == 5
    field = measure_receptive_field(OfDates(built, 2), 6, stride=32, largest_px=512)
    assert not field.tile_dependent


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model": {"hierarchy": {"time": {"heads": 2}}}}, "heads is of kind ltae"),
        ({"augment": {"cutmix": 0.5}}, "cutmix mixes chips"),
        ({"auxiliary": {"reconstruction": 1}}, "rebuilds one image"),
    ],
)
def test_what_does_not_go_with_dates_is_refused(changes: dict[str, object], said: str) -> None:
    values: dict[str, object] = {
        "data": {"classes": {0: "ground", 1: "roof"}},
        "model": {"decoder": "hierarchy", "hierarchy": {"time": {"kind": "ltae"}}},
    }
    with pytest.raises(ValueError, match=said):
        TrainConfig.model_validate(values | changes)


def test_stacks_need_a_network_that_reads_them() -> None:
    values = {"data": {"classes": {0: "ground", 1: "roof"}, "dates": {}}}
    with pytest.raises(ValueError, match=r"time\.kind is none: set it to ltae or convlstm"):
        TrainConfig.model_validate(values)
