"""Latents in a network: where draws reach in the answer, and that their place decides them."""

import pytest
import torch
from pyramids import awakened
from torch import Tensor

from geohier.config.model import ModelConfig
from geohier.layers.latents import Normal
from geohier.models.hierarchy import HierarchicalSegmenter
from geohier.models.receptive_field import measure_receptive_field
from geohier.models.sampled import PlacedDraw, SampledSegmenter, has_latents
from geohier.models.segmentation import at_image_resolution, build_segmenter


def config(levels: int = 3, **values: object) -> ModelConfig:
    return ModelConfig.model_validate(
        {
            "encoder": "test_resnet",
            "decoder": "hierarchy",
            "encoder_depth": 4,
            "pyramid_channels": 32,
            "segmentation_channels": 32,
            "hierarchy": {"latents": {"levels": levels}},
            **values,
        }
    )


def network(levels: int = 3) -> HierarchicalSegmenter:
    """A network whose latents say something, and whose normalisations have seen something."""
    torch.manual_seed(0)
    built = build_segmenter(config(levels), bands=3, classes=2)
    assert isinstance(built, HierarchicalSegmenter)
    if built.latents is not None:
        awakened(built.latents)
    with torch.no_grad():
        built.train()(torch.randn(4, 3, 64, 64))
    return built.eval()


def test_off_they_are_absent_and_on_they_stand_before_the_merge() -> None:
    on, off, image = network(), network(levels=0), torch.randn(1, 3, 64, 64)
    more = on.state_dict().keys() - off.state_dict().keys()
    assert more
    assert all(key.startswith("latents.") for key in more)
    off.load_state_dict({k: v for k, v in on.state_dict().items() if k not in more})
    assert not torch.equal(on(image), off(image))
    assert not torch.equal(on.levels(image)[0], off.levels(image)[0])
    assert on.latents is not None
    for project in on.latents.projects:
        torch.nn.init.zeros_(project.weight)
        torch.nn.init.zeros_(project.bias)
    assert torch.equal(on(image), off(image))
    assert has_latents(on)
    assert not has_latents(off)


def test_without_a_seed_an_answer_is_no_matter_of_chance_nor_of_the_tile() -> None:
    built, image = network(), torch.randn(1, 3, 64, 64)
    assert torch.equal(built(image), built(image))
    assert not measure_receptive_field(built, 3, stride=16, largest_px=512).tile_dependent


@torch.no_grad()
def test_a_coarse_latent_moves_regions_and_a_fine_one_edges() -> None:
    built, image = network(), torch.randn(1, 3, 192, 192)
    reached = []
    for number in (1, 2, 3):
        stride = built.strides[number]
        place = 96 // stride

        def other(
            at: int, level: Tensor, prior: Normal, number: int = number, place: int = place
        ) -> Tensor:
            drawn = prior.mean.clone()
            if at == number:
                drawn[..., place, place] += 3
            return drawn

        change = (built(image, other) - built(image)).abs().sum(dim=1)[0]
        strong = change > change.max() / 10
        reached.append(int(strong.sum()))
        assert bool(strong[96 : 96 + stride, 96 : 96 + stride].any())
    assert reached[0] * 2 < reached[1]
    assert reached[1] * 2 < reached[2]


@torch.no_grad()
@pytest.mark.parametrize("downsample", [1, 2])
def test_far_from_its_edges_a_tile_draws_what_the_whole_image_draws(downsample: int) -> None:
    drawing = SampledSegmenter(at_image_resolution(network(), config(downsample=downsample)), 7)
    stride = drawing.strides[-1]
    assert stride == 16 * downsample
    image = torch.randn(1, 3, 24 * stride, 20 * stride)
    whole = drawing(image)
    row, col = 3 * stride, 2 * stride
    tile = image[..., row : row + 16 * stride, col : col + 16 * stride]
    corner = torch.tensor([[row, col]])
    inner = slice(7 * stride, 9 * stride)
    expected = whole[
        ..., row + inner.start : row + inner.stop, col + inner.start : col + inner.stop
    ]
    there = drawing(tile, corner)[..., inner, inner]
    torch.testing.assert_close(there, expected, rtol=1e-4, atol=1e-4)
    elsewhere = drawing(tile, corner + stride)[..., inner, inner]
    assert float((elsewhere - expected).abs().max()) > 0.01
    other = SampledSegmenter(drawing.network, 8)(tile, corner)[..., inner, inner]
    assert float((other - expected).abs().max()) > 0.01


@torch.no_grad()
def test_what_a_tile_draws_does_not_depend_on_its_batch() -> None:
    drawing, tiles = SampledSegmenter(network(), 1), torch.randn(3, 3, 32, 32)
    corners = torch.tensor([[0, 0], [16, 48], [64, 32]])
    together = drawing(tiles, corners)
    for order in ([2, 0, 1], [1]):
        torch.testing.assert_close(drawing(tiles[order], corners[order]), together[order])


def test_draws_are_distributed_as_expected_and_independent_between_levels() -> None:
    mean, log_deviation = torch.full((1, 2, 64, 64), 3.0), torch.full((1, 2, 64, 64), -1.0)
    draw = PlacedDraw(5, (4, 8, 16), torch.zeros(1, 2, dtype=torch.int64))
    found = [draw(at, mean, Normal(mean, log_deviation)) for at in (0, 1)]
    for one in found:
        assert float(one.mean()) == pytest.approx(3, abs=0.02)
        assert float(one.std()) == pytest.approx(float(torch.tensor(-1.0).exp()), rel=0.03)
    both = torch.stack([one.flatten() for one in found])
    assert abs(float(torch.corrcoef(both)[0, 1])) < 0.05


def test_it_draws_in_bf16() -> None:
    drawing, image = SampledSegmenter(network(), 1), torch.randn(1, 3, 64, 64)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        near = drawing(image)
    with torch.no_grad():
        torch.testing.assert_close(near.float(), drawing(image), rtol=0.2, atol=0.3)
