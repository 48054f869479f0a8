import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from geohier.config.training import TrainingConfig
from geohier.training.schedule import optimizer, schedule, share_of_highest


@given(st.integers(1, 200), st.data())
def test_the_rate_rises_to_the_highest_then_falls_to_nothing(
    total: int, data: st.DataObject
) -> None:
    warm_up = data.draw(st.integers(0, total - 1))
    shares = [share_of_highest(step, total, warm_up) for step in range(total + 1)]
    assert all(0 <= share <= 1 for share in shares)
    assert shares[:warm_up] == sorted(shares[:warm_up])
    assert shares[warm_up:] == sorted(shares[warm_up:], reverse=True)
    assert shares[warm_up] == 1
    assert shares[total] == pytest.approx(0)


def test_the_schedule_spans_the_epochs_though_warm_up_is_longer() -> None:
    config = TrainingConfig(epochs=2, warmup_epochs=9, learning_rate=0.5)
    adamw = optimizer(nn.Linear(1, 1), config)
    steps = schedule(adamw, config, steps_per_epoch=3)
    rates = []
    for _ in range(6):
        rates.append(adamw.param_groups[0]["lr"])
        adamw.step()
        steps.step()
    assert rates == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.5])


def test_only_weights_decay_not_biases_and_norms() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    adamw = optimizer(network, TrainingConfig(weight_decay=0.3))
    decayed = {id(p) for g in adamw.param_groups if g["weight_decay"] for p in g["params"]}
    assert decayed == {id(network[0].weight)}
    assert sum(len(group["params"]) for group in adamw.param_groups) == 4


def test_weights_that_do_not_learn_are_left_out() -> None:
    network = nn.Linear(1, 1)
    network.weight.requires_grad_(False)
    groups = optimizer(network, TrainingConfig()).param_groups
    assert [p for group in groups for p in group["params"]] == [network.bias]
