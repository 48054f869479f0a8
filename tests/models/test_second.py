"""Networks with a second sensor that has not been everywhere."""

import pytest
import torch
from pydantic import ValidationError
from pyramids import awakened, pyramid
from torch import Tensor

from geohier.config.model import ModelConfig
from geohier.config.schema import TrainConfig
from geohier.config.second import SecondConfig
from geohier.errors import ConfigError
from geohier.layers.attention_second import SecondSensor, build_second
from geohier.models.hierarchy import HierarchicalSegmenter
from geohier.models.segmentation import build_segmenter

CHANNELS, STRIDES = (6, 8, 12), (1, 2, 4)
TWO = {"bands": ("vv", "vh"), "window": 3, "heads": 2, "head_channels": 4, "channels": 6}


def sensor(**options: object) -> SecondSensor:
    torch.manual_seed(0)
    built = build_second(SecondConfig.model_validate(TWO | options), CHANNELS, STRIDES)
    assert built is not None
    awakened(built)
    return built


def config(second: dict[str, object] | None = None) -> ModelConfig:
    return ModelConfig.model_validate(
        {
            "encoder": "test_resnet",
            "decoder": "hierarchy",
            "pyramid_channels": 8,
            "segmentation_channels": 8,
            "hierarchy": {} if second is None else {"second": second},
        }
    )


def networks() -> tuple[HierarchicalSegmenter, HierarchicalSegmenter]:
    """A network of three bands, and one of the same weights that looks at two more."""
    torch.manual_seed(0)
    alone, both = build_segmenter(config(), 3, 2), build_segmenter(config(TWO), 5, 2)
    assert isinstance(alone, HierarchicalSegmenter)
    assert isinstance(both, HierarchicalSegmenter)
    with torch.no_grad():
        alone(images()[:, :3])
    left = both.load_state_dict(alone.state_dict(), strict=False)
    assert not left.unexpected_keys
    assert all(name.startswith("decoder.second.") for name in left.missing_keys)
    return alone.eval(), both.eval()


def images(seed: int = 0, side: int = 64) -> Tensor:
    return torch.randn(2, 5, side, side, generator=torch.Generator().manual_seed(seed))


def without_second(image: Tensor) -> Tensor:
    return torch.cat([image[:, :3], torch.zeros_like(image[:, 3:])], dim=1)


def test_no_bands_are_no_module() -> None:
    assert build_second(SecondConfig(), CHANNELS, STRIDES) is None
    alone, _ = networks()
    assert alone.decoder.second is None


def test_it_starts_as_if_it_were_absent() -> None:
    alone, both = networks()
    with torch.no_grad():
        assert torch.equal(both(images()), alone(images()[:, :3]))


def test_where_it_is_missing_everywhere_the_network_answers_as_without_it() -> None:
    alone, both = networks()
    assert both.decoder.second is not None
    awakened(both.decoder.second)
    image = images()
    with torch.no_grad():
        assert not torch.equal(both(image), alone(image[:, :3]))
        assert torch.equal(both(without_second(image)), alone(image[:, :3]))
        mixed = torch.cat([image[:1], without_second(image)[1:]])
        torch.testing.assert_close(both(mixed)[1:], alone(image[1:, :3]))


def test_cells_around_which_it_has_seen_nothing_get_exactly_nothing() -> None:
    built, levels = sensor(), pyramid(CHANNELS)
    second = torch.randn(1, 2, 32, 32)
    second[..., 16:] = 0
    answers, used = built(levels, second)
    assert torch.equal(answers[0], levels[0])
    for at, reached in ((1, 8 + 1), (2, 4 + 1)):  # halves of 16 and 8 cells, and one beside
        changed = (answers[at] != levels[at]).any(1).any(0).any(0)
        assert changed.tolist() == [at < reached for at in range(len(changed))]
        assert not bool(used[f"second.{at}"][..., reached:].any())


def test_what_it_holds_in_cells_that_it_has_not_seen_changes_nothing() -> None:
    look = sensor().looks[0]
    level, second = pyramid((8,), side=16)[0], torch.randn(1, 6, 16, 16)
    seen = torch.ones(1, 1, 16, 16)
    seen[..., 4:9] = 0
    other = torch.where(seen > 0, second, 99.0)
    torch.testing.assert_close(look(level, other, seen), look(level, second, seen))
    assert not torch.equal(look(level, other, torch.ones_like(seen)), look(level, other, seen))


def test_what_it_holds_far_away_changes_nothing_and_near_it_does() -> None:
    built, levels, second = sensor(), pyramid(CHANNELS), torch.randn(1, 2, 32, 32)
    other = second.clone()
    other[..., :8, :8] += 1
    changed = (built(levels, other)[0][2] - built(levels, second)[0][2]).abs().amax((0, 1)) > 1e-6
    assert bool(changed[:2, :2].all())
    assert not bool(changed[5:].any())
    assert not bool(changed[:, 5:].any())


def test_tiled_is_whole() -> None:
    built, levels, second = sensor(), pyramid(CHANNELS, side=64), torch.randn(1, 2, 64, 64)
    second[..., 20:30, 20:50] = 0
    whole = built(levels, second)[0]
    cut = [level[..., : 48 >> at, (16 >> at) :] for at, level in enumerate(levels)]
    tile = built(cut, second[..., :48, 16:])[0]
    for at, (one, answer) in enumerate(zip(tile, whole, strict=True)):
        inner = one[..., : 32 >> at, (16 >> at) :]
        torch.testing.assert_close(
            inner, answer[..., : 32 >> at, (32 >> at) :], rtol=1e-4, atol=1e-5
        )


def test_every_weight_learns_and_both_sensors_count() -> None:
    _, both = networks()
    assert both.decoder.second is not None
    awakened(both.decoder.second)
    image = images().requires_grad_()
    both(image).square().sum().backward()
    assert not [name for name, one in both.named_parameters() if one.grad is None]
    assert image.grad is not None
    assert bool((image.grad.abs().sum((0, 2, 3)) > 0).all())


def test_it_runs_in_bf16_and_with_channels_last_and_comes_back_from_its_state() -> None:
    _, both = networks()
    assert both.decoder.second is not None
    awakened(both.decoder.second)
    image = images()
    with torch.no_grad():
        answer = both(image)
        laid = both(image.contiguous(memory_format=torch.channels_last))
        with torch.autocast("cpu", torch.bfloat16):
            coarse = both(image)
            for missing in (without_second(image), image):
                assert bool(both(missing).isfinite().all())
        again = build_segmenter(config(TWO), 5, 2).eval()
        again.load_state_dict(both.state_dict())
        assert torch.equal(again(image), answer)
    torch.testing.assert_close(laid, answer, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(coarse.float(), answer, rtol=0.1, atol=0.1)


def test_chips_are_shown_without_it_in_training_alone() -> None:
    built, levels = sensor(drop=0.5).train(), pyramid(CHANNELS, batch=64)
    second = torch.randn(64, 2, 32, 32)
    lacking = (built(levels, second)[0][2] == levels[2]).flatten(1).all(1)
    assert 16 < int(lacking.sum()) < 48
    assert not bool((built.eval()(levels, second)[0][2] == levels[2]).flatten(1).all(1).any())


@pytest.mark.parametrize(
    ("second", "said"),
    [
        ({"window": 3}, "window is of a second sensor, but bands names none"),
        ({"bands": ["vv", "vv"]}, "bands names one twice"),
        ({"bands": ["vv"], "levels": 5}, "second.levels is 5, but levels is 4"),
        ({"bands": ["vv"], "window": 4}, "4 is even"),
    ],
)
def test_what_makes_no_second_sensor_is_refused(second: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        config(second)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"auxiliary": {"reconstruction": 1}}, "rebuilds what all pixels have"),
        ({"data": {"classes": {0: "a", 1: "b"}, "normalise": "scene"}}, "normalise scene goes by"),
    ],
)
def test_what_does_not_go_with_it_is_refused(changes: dict[str, object], said: str) -> None:
    values: dict[str, object] = {
        "data": {"classes": {0: "a", 1: "b"}},
        "model": {"decoder": "hierarchy", "hierarchy": {"second": {"bands": ["vv"]}}},
    }
    with pytest.raises(ValidationError, match=said):
        TrainConfig.model_validate(values | changes)


def test_the_first_sensor_needs_a_band() -> None:
    with pytest.raises(ConfigError, match="has 2 of 2 bands: the first sensor needs one too"):
        build_segmenter(config(TWO), 2, 2)
