"""Latents on their way through a training: drawn by labels, paid for, left to the model alone."""

from pathlib import Path
from typing import Any

import pytest
import torch
from broken_runs import broken_off
from roof_scenes import MakeConfig
from torch import Tensor
from torch.nn import functional

from geohier.config.schema import TrainConfig
from geohier.data.labels import IGNORE_INDEX
from geohier.layers.latents import Normal
from geohier.models.directory import load_model
from geohier.models.hierarchy import HierarchicalSegmenter
from geohier.models.segmentation import build_segmenter
from geohier.objectives.latents import gaussian_divergence
from geohier.training.checkpoint import best_weights
from geohier.training.fit import train
from geohier.training.latents import LatentLearning
from geohier.training.log import read_rows
from geohier.training.task import SegmentationTask

NAMES = ["latents.3", "latents.2", "latents.1"]


def parts(**latents: object) -> tuple[HierarchicalSegmenter, LatentLearning]:
    config = TrainConfig.model_validate(
        {
            "data": {"classes": {0: "ground", 1: "roof", 2: "tent"}},
            "model": {
                "encoder": "test_resnet",
                "decoder": "hierarchy",
                "pyramid_channels": 16,
                "segmentation_channels": 16,
                "dropout": 0,
                "hierarchy": {"latents": {"levels": 3, **latents}},
            },
        }
    )
    torch.manual_seed(0)
    network = build_segmenter(config.model, 1, 3)
    assert isinstance(network, HierarchicalSegmenter)
    return network, LatentLearning(network, config)


def test_a_divergence_is_that_of_torch_and_nothing_between_equals() -> None:
    numbers = torch.Generator().manual_seed(0)
    one, two = (Normal(*torch.randn(2, 2, 3, 4, 4, generator=numbers).unbind(0)) for _ in range(2))
    of = torch.distributions.Normal
    known = torch.distributions.kl_divergence(
        of(one.mean, one.log_deviation.exp()), of(two.mean, two.log_deviation.exp())
    )
    torch.testing.assert_close(gaussian_divergence(one, two), known.sum(dim=1))
    assert not gaussian_divergence(one, one).any()


def test_levels_weigh_as_the_evidence_bound_or_the_balance_says() -> None:
    _, bound = parts()
    assert list(bound.weights.items()) == [
        (name, 1 / stride**2) for name, stride in zip(NAMES, (32, 16, 8), strict=True)
    ]
    _, alike = parts(balance=1, weight=1024)
    assert list(alike.weights.values()) == [1, 1, 1]


def test_where_labels_are_missing_nothing_is_known_that_was_not_expected() -> None:
    network, learning = parts()
    labels = torch.randint(0, 3, (2, 64, 64), generator=torch.Generator().manual_seed(0))
    labels[:, :32] = IGNORE_INDEX
    image = torch.randn(2, 1, 64, 64)
    some, none = (learning.draws(one, step=0) for one in (labels, labels | IGNORE_INDEX))
    known, expected = (network.look(image, draw=draw).used["latents.3"] for draw in (some, none))
    assert torch.equal(known[:, :, 0], expected[:, :, 0])
    assert not torch.isclose(known[:, :, 1], expected[:, :, 1]).any()
    assert [float(term.detach()) for term in none.terms.values()] == [0, 0, 0]
    assert all(float(term.detach()) > 0 for term in some.terms.values())


def test_what_a_step_draws_is_of_this_step_whenever_it_is_taken() -> None:
    network, learning = parts()
    labels = torch.zeros(2, 64, 64, dtype=torch.int64)
    image = torch.randn(2, 1, 64, 64)
    network.eval()
    first, again, other = (
        network.look(image, draw=learning.draws(labels, step)).used["latents.2"]
        for step in (4, 4, 5)
    )
    assert torch.equal(first, again)
    assert not torch.isclose(first, other).any()


def test_what_latents_cost_reaches_what_is_known_what_is_expected_and_the_encoder() -> None:
    network, learning = parts()
    labels = torch.randint(0, 3, (2, 64, 64), generator=torch.Generator().manual_seed(0))
    draws = learning.draws(labels, step=0)
    network.look(torch.randn(2, 1, 64, 64), draw=draws)
    assert list(draws.terms) == NAMES
    assert network.latents is not None
    for prior in network.latents.priors:
        torch.nn.init.normal_(prior[-1].weight)
    draws = learning.draws(labels, step=0)
    network.look(torch.randn(2, 1, 64, 64), draw=draws)
    torch.stack(list(draws.terms.values())).sum().backward()
    for name, parameter in (
        *learning.named_parameters(),
        *network.latents.priors.named_parameters(),
        *network.encoder.named_parameters(),
    ):
        assert parameter.grad is not None, name
    assert all(bool(head[-1].weight.grad.any()) for head in learning.posterior.heads)


def drawing(make_config: MakeConfig, **sections: dict[str, Any]) -> TrainConfig:
    model = {"decoder": "hierarchy", "dropout": 0.2, "hierarchy": {"latents": {"levels": 2}}}
    usual = {"chips": {"per_epoch": 8}, "training": {"epochs": 2}}
    return make_config(model=model, **{**usual, **sections})


def test_a_run_logs_what_they_cost_and_leaves_no_posterior(
    make_config: MakeConfig, tmp_path: Path
) -> None:
    config = drawing(make_config, training={"epochs": 1})
    model = train(config, tmp_path / "run", quiet=True)
    for row in read_rows(tmp_path / "run"):
        assert row["latents.3"] > 0
        assert row["latents.2"] > 0
    found = load_model(model).module.state_dict()
    assert set(found) == set(build_segmenter(config.model, 2, 2).state_dict())
    assert any(name.startswith("latents.") for name in found)


@pytest.mark.slow
@pytest.mark.parametrize("weighing", ["fixed", "pcgrad"])
def test_a_run_that_was_broken_off_goes_on_to_the_same_latents(
    make_config: MakeConfig, tmp_path: Path, weighing: str
) -> None:
    config = drawing(make_config, auxiliary={"edges": {"weight": 0.5}, "weighing": weighing})
    whole = train(config, tmp_path / "whole", quiet=True)
    with broken_off(SegmentationTask, "in an epoch", epoch=1):
        train(config, tmp_path / "broken", quiet=True)
    resumed = train(config, tmp_path / "broken", resume=True, quiet=True)
    weights = "model.safetensors"
    assert (resumed / weights).read_bytes() == (whole / weights).read_bytes()


@pytest.mark.slow
def test_two_processes_draw_and_learn_what_one_does(
    make_config: MakeConfig, tmp_path: Path
) -> None:
    found = []
    for processes in (1, 2):
        config = make_config(
            model={"decoder": "hierarchy", "dropout": 0, "hierarchy": {"latents": {"levels": 2}}},
            fine_tuning={"frozen_statistics": True},
            training={"processes": processes, "epochs": 2, "precision": "fp32"},
        )
        out = tmp_path / str(processes)
        train(config, out, quiet=True)
        found.append((best_weights(out / "checkpoints"), read_rows(out)[-1]))
    (alone, row), (together, shared) = found
    for name in ("latents.3", "latents.2"):
        assert shared[name] == pytest.approx(row[name], rel=1e-2)
    for name, one in alone.items():
        torch.testing.assert_close(together[name], one, rtol=1e-3, atol=1e-3, msg=name)


def squares(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Bright squares that two people call by different names: every third of them a roof."""
    ground = torch.zeros(count, 32, 32, dtype=torch.int64)
    ground[:, 8:24, 8:24] = 1
    image = 2.0 * ground[:, None] - 1 + 0.1 * torch.randn(count, 1, 32, 32, generator=generator)
    named = torch.where(torch.rand(count, generator=generator) < 1 / 3, 1, 2)
    return image, ground * named[:, None, None]


@pytest.mark.slow
def test_draws_have_the_frequencies_of_labels_that_disagree() -> None:
    network, learning = parts()
    generator = torch.Generator().manual_seed(1)
    descent = torch.optim.AdamW([*network.parameters(), *learning.parameters()], lr=3e-3)
    for step in range(400):
        image, labels = squares(16, generator)
        draws = learning.draws(labels, step)
        logits = network.look(image, draw=draws).logits
        cost = sum(learning.weights[name] * term for name, term in draws.terms.items())
        descent.zero_grad()
        (functional.cross_entropy(logits, labels) + cost).backward()
        descent.step()
    image, _ = squares(300, generator)
    with torch.no_grad():
        found = network.eval()(image, at_random(generator)).argmax(1)[:, 8:24, 8:24]
    roof, tent = ((found == one).float().mean((1, 2)) > 0.9 for one in (1, 2))
    assert float((roof | tent).float().mean()) > 0.9, "a square is of one name"
    assert float(roof.float().mean()) == pytest.approx(1 / 3, abs=0.12)


def at_random(generator: torch.Generator) -> Any:  # noqa: ANN401 - a Draw
    return lambda number, level, prior: prior.at(torch.randn(prior.mean.shape, generator=generator))


@pytest.mark.slow
def test_each_level_learns_to_tell_what_the_image_does_not() -> None:
    network, learning = parts()
    generator = torch.Generator().manual_seed(1)
    descent = torch.optim.AdamW([*network.parameters(), *learning.parameters()], lr=3e-3)
    seen: list[dict[str, Tensor]] = []
    for step in range(120):
        coarse, fine = (
            torch.randint(0, 2, (8, side, side), generator=generator)
            .repeat_interleave(64 // side, 1)
            .repeat_interleave(64 // side, 2)
            for side in (2, 8)
        )
        labels = coarse + fine
        draws = learning.draws(labels, step)
        image = torch.randn(8, 1, 64, 64, generator=generator)
        logits = network.look(image, draw=draws).logits
        cost = sum(learning.weights[name] * term for name, term in draws.terms.items())
        descent.zero_grad()
        (functional.cross_entropy(logits, labels) + cost).backward()
        descent.step()
        seen.append({name: term.detach() for name, term in draws.terms.items()})
    for name in NAMES:
        assert float(torch.stack([one[name] for one in seen[-20:]]).mean()) > 0.01, name
