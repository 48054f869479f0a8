"""The whole hierarchy: a network made of its parts."""

from typing import Any

import pytest
import torch
from pydantic import ValidationError

from geohier.config.model import ModelConfig
from geohier.config.schema import TrainConfig
from geohier.errors import ConfigError
from geohier.models.hierarchy import HierarchicalSegmenter
from geohier.models.level_features import level_features, measure_levels
from geohier.models.receptive_field import measure_receptive_field
from geohier.models.segmentation import build_segmenter, level_ladder


def network(
    bands: int = 3, *, depth: int = 5, encoder: str = "test_resnet", **parts: object
) -> HierarchicalSegmenter:
    """A small network; its normalisations have seen something."""
    torch.manual_seed(0)
    config = ModelConfig.model_validate(
        {
            "encoder": encoder,
            "decoder": "hierarchy",
            "encoder_depth": depth,
            "pyramid_channels": 32,
            "segmentation_channels": 32,
            "hierarchy": parts,
        }
    )
    built = build_segmenter(config, bands, 3)
    assert isinstance(built, HierarchicalSegmenter)
    with torch.no_grad():
        built(torch.randn(2, bands, *sides(built)))
    return built.eval()


def sides(built: HierarchicalSegmenter) -> tuple[int, int]:
    """Return sides of a small image that every level has a cell of."""
    coarsest = built.strides[-1]
    return max(coarsest, 64), max(2 * coarsest, 64)


PARTS: list[dict[str, Any]] = [
    {"levels": 2},
    {"levels": 6, "extra_levels": "conv"},
    {"levels": 7},
    {"context": "pooling", "refine": "conv", "merge": "concat"},
    {"context": "aspp", "aspp_rates": [1, 2]},
    {"fusion": "none"},
    {"fusion": "concat", "norm": "layer"},
    {"fusion": "weighted", "repeats": 2, "separable": True},
    {"fusion": "pan", "refine": "residual"},
    {"merge": "gated"},
    {"norm": "group"},
    {"align_corners": True},
]


@pytest.mark.parametrize("parts", PARTS, ids=str)
@pytest.mark.parametrize("bands", [1, 4])
def test_every_pixel_gets_one_score_per_class(parts: dict[str, Any], bands: int) -> None:
    built = network(bands, **parts)
    height, width = sides(built)
    look = built.look(torch.rand(2, bands, height, width))
    assert look.logits.shape == (2, 3, height, width)
    assert [width // level.shape[-1] for level in look.levels] == list(built.strides)
    assert level_ladder(built, bands).strides == built.strides


@pytest.mark.parametrize("parts", PARTS, ids=str)
def test_every_weight_learns(parts: dict[str, Any]) -> None:
    built = network(**parts).train()
    built(torch.randn(2, 3, *sides(built))).square().sum().backward()
    assert not [name for name, one in built.named_parameters() if one.grad is None]


@pytest.mark.parametrize("depth", [3, 4, 5])
def test_with_copied_weights_it_is_smp_s_feature_pyramid(depth: int) -> None:
    config = ModelConfig.model_validate(
        {
            "encoder": "test_resnet",
            "encoder_depth": depth,
            "pyramid_channels": 32,
            "segmentation_channels": 32,
        }
    )
    theirs = build_segmenter(config, 3, 3)
    torch.manual_seed(1)
    image = torch.randn(4, 3, 128, 192)
    with torch.no_grad():
        theirs(image)
    ours = network(depth=depth, align_corners=True)
    copied = {}
    for name, value in theirs.state_dict().items():
        if name.startswith("decoder.seg_blocks"):
            _, _, at, _, block, _, rest = name.split(".", 6)
            name = f"reads.{3 - int(at)}.blocks.{block}.{rest}"
        for level, lateral in enumerate(("p2.skip_conv", "p3.skip_conv", "p4.skip_conv", "p5")):
            name = name.replace(f"decoder.{lateral}.", f"decoder.fusion.laterals.{level}.")
        copied[name.replace("segmentation_head.0", "segmentation_head")] = value
    ours.load_state_dict(copied)

    torch.testing.assert_close(ours(image), theirs.eval()(image), rtol=1e-5, atol=1e-5)
    pairs = zip(ours.levels(image), level_features(theirs, image), strict=True)
    for one, other in pairs:
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "parts",
    [
        {},
        {"fusion": "weighted"},
        {"fusion": "pan", "refine": "conv"},
        {"merge": "gated", "norm": "layer"},
        {"context": "aspp", "aspp_rates": [1]},
    ],
    ids=str,
)
def test_far_from_its_edges_a_tile_answers_as_the_whole_image_does(parts: dict[str, Any]) -> None:
    built = network(depth=3, **parts)
    stride = built.strides[-1]
    image = torch.randn(1, 3, 384, 384)
    with torch.no_grad():
        whole = built(image)
        tile = built(image[..., 8 * stride : 40 * stride, 5 * stride : 37 * stride])
    inner = slice(15 * stride, 17 * stride)
    expected = whole[..., 23 * stride : 25 * stride, 20 * stride : 22 * stride]
    torch.testing.assert_close(tile[..., inner, inner], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("parts", "dependent"),
    [({}, False), ({"context": "pooling"}, True), ({"norm": "group"}, True)],
    ids=str,
)
def test_it_is_measured_whether_answers_depend_on_the_tile(
    parts: dict[str, Any], dependent: bool
) -> None:
    built = network(depth=4, **parts)
    field = measure_receptive_field(built, 3, stride=16, largest_px=1024)
    assert field.tile_dependent == dependent


def test_the_field_of_view_grows_with_the_rates_of_atrous_convolutions() -> None:
    margins = [
        measure_receptive_field(
            network(depth=3, context="aspp", aspp_rates=[rate]), 3, stride=8, largest_px=512
        ).margins_px[99]
        for rate in (1, 4, 12)
    ]
    assert margins == sorted(set(margins))


@pytest.mark.parametrize("merge", ["sum", "concat", "gated"])
def test_a_level_that_is_left_out_brings_nothing(merge: str) -> None:
    built = network(merge=merge)
    image = torch.randn(1, 3, 128, 128)
    whole = built(image)
    for level in range(4):
        assert not torch.equal(built.look(image, without=level).logits, whole)
    with torch.no_grad():
        for one in built.reads[2].parameters():
            one.zero_()
    torch.testing.assert_close(built.look(image, without=2).logits, built(image))


def test_its_levels_can_be_read_as_features() -> None:
    built = network(levels=6)
    assert measure_levels(built, 3, 128) == [(4 * 2**at, 32) for at in range(6)]


def test_what_the_parts_used_is_handed_out() -> None:
    used = network(fusion="weighted", merge="gated").look(torch.randn(1, 3, 128, 128)).used
    assert {name: tuple(one.shape) for name, one in used.items()} == {
        "down": (1, 3, 2),
        "up": (1, 3, 3),
        "gates": (1, 4, 32, 32),
    }


def test_stages_that_no_level_needs_are_not_built() -> None:
    sizes = [sum(p.numel() for p in network(levels=n).encoder.parameters()) for n in (2, 3, 4, 6)]
    assert sizes[0] < sizes[1] < sizes[2] == sizes[3]


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
def test_an_encoder_without_a_level_is_refused_with_those_that_it_has() -> None:
    with pytest.raises(ConfigError, match="has levels of strides 4, 8, 16 px, and none of 2:"):
        network(encoder="test_convnext", depth=4)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"decoder": "fpn", "hierarchy": {"levels": 5}}, "set it to hierarchy"),
        ({"decoder": "hierarchy", "hierarchy": {"levels": 8}}, "less than or equal to 7"),
        ({"pyramid_channels": 10**9}, "less than or equal to 4096"),
        (
            {"decoder": "hierarchy", "hierarchy": {"attention": {"kind": "self", "heads": 10**9}}},
            "less than or equal to 64",
        ),
        ({"decoder": "hierarchy", "hierarchy": {"extra_levels": "conv"}}, "beyond 4"),
        ({"decoder": "hierarchy", "hierarchy": {"repeats": 2}}, "set fusion to weighted"),
        ({"decoder": "hierarchy", "hierarchy": {"aspp_rates": [3]}}, "set context to aspp"),
        (
            {"decoder": "hierarchy", "pyramid_channels": 40, "hierarchy": {"norm": "group"}},
            "no multiple of 32",
        ),
    ],
    ids=str,
)
def test_parts_that_do_not_fit_each_other_are_refused(values: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        ModelConfig.model_validate(values)


@pytest.mark.parametrize(
    ("size", "levels", "depth", "fits"),
    [(64, 4, 5, True), (64, 6, 5, False), (128, 6, 5, True), (96, 5, 5, False), (64, 7, 3, True)],
)
def test_chips_hold_a_cell_of_every_level(size: int, levels: int, depth: int, fits: bool) -> None:
    values = {
        "data": {"classes": {0: "ground", 1: "roof"}},
        "chips": {"size_px": size},
        "model": {
            "decoder": "hierarchy",
            "encoder_depth": depth,
            "hierarchy": {"levels": levels},
        },
    }
    if fits:
        assert TrainConfig.model_validate(values).chips.size_px == size
    else:
        with pytest.raises(ValidationError, match="change it, or lower model"):
            TrainConfig.model_validate(values)
