import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.optim.swa_utils import AveragedModel

from geohier.training.ema import AveragedWeights, average_in


@given(st.integers(0, 10_000), st.floats(0, 0.999))
def test_the_mean_moves_towards_the_value_and_never_beyond(steps: int, decay: float) -> None:
    means, values = [torch.tensor([0.0, 4.0])], [torch.tensor([1.0, 4.0])]
    average_in(means, values, steps, decay)
    assert 1 - max(decay, 0.1) - 1e-6 <= float(means[0][0]) <= 1
    assert float(means[0][1]) == 4


def test_early_steps_forget_the_first_weights_and_late_ones_decay_as_asked() -> None:
    early, late = [torch.zeros(1)], [torch.zeros(1)]
    average_in(early, [torch.ones(1)], 0, 0.99)
    average_in(late, [torch.ones(1)], 10_000, 0.99)
    assert float(early[0]) > 0.89
    torch.testing.assert_close(late[0], torch.tensor([0.01]))


def test_counters_are_copied_and_running_statistics_averaged() -> None:
    network = nn.BatchNorm2d(2)
    averaged = AveragedModel(network, use_buffers=True, **AveragedWeights(0.5)._kwargs)
    averaged.update_parameters(network)
    for _ in range(3):
        network(torch.randn(4, 2, 3, 3) + 5)
    averaged.update_parameters(network)
    mean, value = averaged.module.running_mean, network.running_mean
    assert bool((mean > 0).all())
    assert bool((mean < value).all())
    assert int(averaged.module.num_batches_tracked) == 3
