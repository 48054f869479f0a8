"""Figures of levels, of networks in which it is known what each brings."""

import pytest
import torch

from geohier.config.model import ModelConfig
from geohier.data.chips import Chip
from geohier.data.labels import IGNORE_INDEX
from geohier.models.hierarchy import HierarchicalSegmenter
from geohier.models.segmentation import build_segmenter
from geohier.studies.level_figures import measure_figures


@pytest.fixture
def network() -> HierarchicalSegmenter:
    torch.manual_seed(0)
    config = ModelConfig(encoder="test_resnet", decoder="hierarchy", pyramid_channels=8)
    built = build_segmenter(config, 3, 2)
    assert isinstance(built, HierarchicalSegmenter)
    return built


def chips(network: HierarchicalSegmenter, count: int) -> list[Chip]:
    """Chips whose labels are what the network answers, but for a strip that has none."""
    network.eval()
    made = []
    for image in torch.randn(count, 3, 64, 64):
        with torch.no_grad():
            mask = network(image[None]).argmax(1)[0]
        mask[:8] = IGNORE_INDEX
        made.append(Chip(image=image, mask=mask, scene="a"))
    network.train()
    return made


def test_a_level_that_is_not_read_brings_nothing_and_gets_no_gradient(
    network: HierarchicalSegmenter,
) -> None:
    with torch.no_grad():
        for parameter in network.reads[0].parameters():
            parameter.zero_()  # the finest level, of which no other is made
    found = measure_figures(network, chips(network, 3), classes=2)
    finest, *others = found["levels"]
    assert (finest["loss_without"], finest["iou_without"], finest["gradient_norm"]) == (0, 0, 0)
    assert all(one["gradient_norm"] > 0 for one in others)
    assert any(one["iou_without"] < 0 for one in others)
    assert all(one["iou_without"] <= 0 for one in others)  # with all levels, no pixel is wrong
    assert found["chips"] == 3
    assert network.training
    assert all(parameter.grad is None for parameter in network.parameters())


def test_levels_are_as_alike_as_they_are_and_as_full(network: HierarchicalSegmenter) -> None:
    found = measure_figures(network, chips(network, 4), classes=2)
    cka = torch.tensor(found["cka"])
    torch.testing.assert_close(cka, cka.T)
    assert bool((cka.diagonal() == 1).all())
    assert bool(((cka >= 0) & (cka <= 1 + 1e-9)).all())
    for one in found["levels"]:
        assert 1 <= one["effective_rank"] <= one["channels"] == 8
    before = found["levels"][0]["effective_rank"]
    with torch.no_grad():  # all channels of the finest level become copies of one
        for parameter in network.decoder.fusion.parameters():
            parameter[:] = parameter[:1]
    after = measure_figures(network, chips(network, 4), classes=2)["levels"][0]
    assert after["effective_rank"] == pytest.approx(1, abs=0.05)
    assert before > 2


def test_a_chip_without_labels_counts_for_its_features_alone(
    network: HierarchicalSegmenter,
) -> None:
    one, other = chips(network, 2)
    other["mask"] = torch.full_like(other["mask"], IGNORE_INDEX)
    alone, both = (measure_figures(network, some, 2) for some in ([one], [one, other]))
    for key in ("loss_without", "iou_without", "gradient_norm"):
        for a, b in zip(alone["levels"], both["levels"], strict=True):
            assert a[key] == pytest.approx(b[key])
    assert alone["levels"][0]["effective_rank"] != both["levels"][0]["effective_rank"]
