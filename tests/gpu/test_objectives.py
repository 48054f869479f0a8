"""Losses and random changes of a batch on a CUDA device: the same figures as on a processor."""

import pytest
import torch

from geohier.config.objectives import ObjectivesConfig
from geohier.data.cutmix import cut_mix
from geohier.data.labels import IGNORE_INDEX
from geohier.objectives.segmentation import SegmentationLoss, losses_of_chips, weigh

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
]


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(3, (4, 64, 64), generator=generator)
    labels[torch.rand(labels.shape, generator=generator) < 0.3] = IGNORE_INDEX
    return torch.randn(4, 3, 64, 64, generator=generator), labels


def test_every_loss_and_its_gradient_are_those_of_a_processor(
    batch: tuple[torch.Tensor, torch.Tensor],
) -> None:
    balanced = {"class_weights": "balanced"}
    plain = dict.fromkeys(("dice", "tversky", "lovasz", "boundary"), 1.0)
    config = ObjectivesConfig.model_validate({"cross_entropy": balanced, "focal": balanced} | plain)
    loss = SegmentationLoss(config, ["a", "b", "c"], [1, 2, 3])
    found = []
    for device in ("cpu", "cuda"):
        logits, labels = batch[0].to(device).requires_grad_(), batch[1].to(device)
        terms = loss.terms(logits, labels)
        (pull,) = torch.autograd.grad(weigh(terms, loss.weights), logits)
        found.append([*(float(term.detach()) for term in terms.values()), pull.cpu()])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_chips_are_mixed_and_judged_as_on_a_processor(
    batch: tuple[torch.Tensor, torch.Tensor],
) -> None:
    found = []
    for device in ("cpu", "cuda"):
        torch.manual_seed(0)
        image, labels = cut_mix(batch[0].to(device), batch[1].to(device), 0.9)
        found.append((image.cpu(), labels.cpu(), losses_of_chips(image, labels).cpu()))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)
