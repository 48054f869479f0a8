"""How several losses become one step."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from geohier.objectives.weighing import by_uncertainty, without_conflicts


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_without_anything_learnt_uncertainty_is_the_plain_sum() -> None:
    losses = [torch.tensor(2.0), torch.tensor(3.0)]
    assert float(by_uncertainty(losses, torch.zeros(2))) == 5


def test_a_variance_settles_at_its_loss() -> None:
    log_variances = torch.zeros(2, requires_grad=True)
    descent = torch.optim.SGD([log_variances], lr=0.1)
    for _ in range(300):
        descent.zero_grad()
        by_uncertainty([torch.tensor(4.0), torch.tensor(0.25)], log_variances).backward()
        descent.step()
    torch.testing.assert_close(log_variances.exp(), torch.tensor([4.0, 0.25]), rtol=1e-3, atol=0)


def test_gradients_that_agree_are_added() -> None:
    gradients = torch.tensor([[1.0, 0.0, 1.0], [0.5, 2.0, 0.0]])
    torch.testing.assert_close(without_conflicts(gradients, seeded()), gradients.sum(0))


def test_two_that_point_apart_lose_what_contradicts() -> None:
    gradients = torch.tensor([[1.0, 0.0], [-1.0, 1.0]])
    torch.testing.assert_close(without_conflicts(gradients, seeded()), torch.tensor([0.5, 1.5]))


@given(st.integers(0, 2**16), st.integers(2, 40))
def test_a_step_along_the_result_of_two_raises_neither(seed: int, size: int) -> None:
    gradients = torch.randn(2, size, generator=seeded(seed), dtype=torch.float64)
    step = without_conflicts(gradients, seeded(seed))
    assert bool((gradients @ step >= -1e-9).all())


def test_one_gradient_alone_and_a_zero_stay_as_they_are() -> None:
    gradients = torch.tensor([[3.0, -1.0], [0.0, 0.0]])
    torch.testing.assert_close(without_conflicts(gradients, seeded()), gradients[0])
    torch.testing.assert_close(without_conflicts(gradients[:1], seeded()), gradients[0])
