"""What is measured of a second sensor."""

from collections.abc import Iterator
from importlib import import_module
from types import ModuleType

import pytest
import torch
from bench_modules import bench_module
from torch import Tensor, nn

from geohier.data.chips import Chip


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    with bench_module("second_sensor", monkeypatch) as module:
        yield module


class Radar(nn.Module):
    """Goes by the second sensor alone: class 1 where it is above 0."""

    def forward(self, image: Tensor) -> Tensor:
        return torch.cat([-image[:, 1:], image[:, 1:]], dim=1)


def chips() -> list[Chip]:
    made = []
    for at in range(4):
        mask = torch.full((4, 4), int(at >= 2))
        image = torch.stack([torch.ones(4, 4), 2.0 * mask - 1])
        made.append(Chip(image=image, mask=mask, scene="a"))
    return made


def test_a_sensor_that_all_goes_by_is_missed_and_misleads_when_it_is_of_other_ground(
    bench: ModuleType,
) -> None:
    run = bench.measure(Radar(), chips(), bands=1)
    own, dropped, other = bench.compare([run, run])
    assert (own["iou"]["value"], own["gain"]) == (1.0, None)
    assert dropped["iou"]["value"] == pytest.approx(0.25)  # all is class 0
    assert other["iou"]["value"] == 0.0
    document = {"command": "x", "remark": "", "found": {"models": 2, "chips": 4}}
    document["found"]["scores"] = [own, dropped, other]
    lines = [*import_module("second_sensor_table").describe(document)]
    assert any(line.startswith("| dropped | 0.2500 | +0.7500 (") for line in lines)
