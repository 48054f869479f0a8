"""What a hierarchy learns beside the classes."""

from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from roof_scenes import MakeConfig

from geohier.config.schema import TrainConfig
from geohier.data.labels import IGNORE_INDEX
from geohier.models.directory import load_model
from geohier.models.hierarchy import HierarchicalSegmenter
from geohier.models.segmentation import build_segmenter
from geohier.training.auxiliary import Auxiliary, pull_apart
from geohier.training.fit import train

EVERY = {"edges": 0.5, "distance": 0.5, "levels": 0.5, "consistency": 0.1, "reconstruction": 0.5}
MODEL = {
    "encoder": "test_resnet",
    "decoder": "hierarchy",
    "pyramid_channels": 16,
    "segmentation_channels": 16,
}


def parts(auxiliary: dict[str, Any]) -> tuple[HierarchicalSegmenter, Auxiliary]:
    config = TrainConfig.model_validate(
        {
            "data": {"classes": {0: "ground", 1: "roof"}},
            "model": MODEL,
            "auxiliary": {
                name: term if name == "weighing" else {"weight": term}
                for name, term in auxiliary.items()
            },
        }
    )
    torch.manual_seed(0)
    network = build_segmenter(config.model, 3, 2)
    assert isinstance(network, HierarchicalSegmenter)
    return network, Auxiliary(network, config, 3)


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    numbers = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 2, (2, 8, 8), generator=numbers)
    labels = labels.repeat_interleave(8, 1).repeat_interleave(8, 2)
    image = torch.randn(2, 3, 64, 64, generator=numbers) + labels[:, None]
    labels[:, :5] = IGNORE_INDEX
    return image, labels


@pytest.mark.parametrize("name", EVERY)
def test_each_term_reaches_the_encoder_and_the_levels_that_it_is_told_by(name: str) -> None:
    network, auxiliary = parts({name: 1.0})
    for value in auxiliary.heads.parameters():
        torch.nn.init.normal_(value, std=0.1)
    image, labels = batch()
    look = network.look(image)
    for level in look.levels:
        level.retain_grad()
    terms = auxiliary.terms(look, look.logits, image, labels)
    assert list(terms) == [name]
    terms[name].backward()
    assert any(p.grad is not None and p.grad.any() for p in network.encoder.parameters())
    heard = [level.grad is not None and bool(level.grad.any()) for level in look.levels]
    assert heard == [True] * 4
    assert all(p.grad is not None for p in auxiliary.heads.parameters() if p.requires_grad)


def test_heads_are_built_for_the_terms_that_there_are() -> None:
    assert len(list(parts({"edges": 1.0})[1].heads.parameters())) == 3  # with the variances
    assert len(list(parts(EVERY)[1].heads.parameters())) == 5 + 4 * 4


def test_weights_of_terms_are_in_the_sum() -> None:
    network, auxiliary = parts({"edges": 0.25, "levels": 2.0})
    image, labels = batch()
    terms = auxiliary.terms(look := network.look(image), look.logits, image, labels)
    found = auxiliary.together(torch.tensor(1.0), terms)
    torch.testing.assert_close(found, 1 + 0.25 * terms["edges"] + 2 * terms["levels"])


def test_levels_learn_to_rebuild_the_image_better_than_the_mean_does() -> None:
    network, auxiliary = parts({"reconstruction": 1.0})
    image, labels = batch()
    both = [*network.parameters(), *auxiliary.parameters()]
    descent = torch.optim.Adam([one for one in both if one.requires_grad], lr=3e-3)
    for _ in range(60):
        descent.zero_grad()
        loss = auxiliary.terms(look := network.look(image), look.logits, image, labels)[
            "reconstruction"
        ]
        loss.backward()
        descent.step()
    with torch.no_grad():
        told = auxiliary.heads(network.look(image)).bands
    assert told is not None
    for level, stride in enumerate(network.strides):
        alone = [one if at == level else torch.zeros_like(one) for at, one in enumerate(told)]
        with_level = float(auxiliary._rebuilt(alone, image))
        without = float(auxiliary._rebuilt([torch.zeros_like(one) for one in told], image))
        assert with_level < without - 0.01, f"level of stride {stride}"


def test_gradients_of_one_task_are_its_own() -> None:
    weight = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    other = torch.nn.Parameter(torch.tensor(3.0))
    pull_apart([(weight**2).sum()], [weight, other], torch.Generator())
    assert weight.grad is not None
    assert weight.grad.tolist() == [2, 4]
    assert other.grad is not None
    assert float(other.grad) == 0


def test_the_last_task_frees_what_was_kept_for_the_others() -> None:
    weight = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    shared = (weight**2).exp()
    tasks = [shared.sum(), shared.prod()]
    pull_apart(tasks, [weight], torch.Generator())
    with pytest.raises(RuntimeError, match="second time"):
        tasks[-1].backward()


def test_without_terms_a_run_is_what_it_was(make_config: MakeConfig, tmp_path: Path) -> None:
    plain = make_config(model=MODEL)
    train(plain, tmp_path / "one", quiet=True)
    left_out = make_config(model=MODEL, auxiliary={"edges": {"weight": 0, "width_px": 5}})
    train(left_out, tmp_path / "two", quiet=True)
    one, two = (load_model(tmp_path / run / "model").module.state_dict() for run in ("one", "two"))
    assert all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize("weighing", ["fixed", "uncertainty", "pcgrad"])
def test_a_run_with_every_term_logs_them_and_leaves_a_plain_model(
    make_config: MakeConfig, tmp_path: Path, weighing: str
) -> None:
    told = {name: {"weight": weight} for name, weight in EVERY.items()}
    config = make_config(model=MODEL, auxiliary={**told, "weighing": weighing})
    train(config, tmp_path / "run", quiet=True)
    header = (tmp_path / "run" / "metrics.csv").read_text().splitlines()[0].split(",")
    assert set(EVERY) <= set(header)
    model = load_model(tmp_path / "run" / "model")
    assert set(model.module.state_dict()) == set(build_segmenter(config.model, 3, 2).state_dict())


def test_weighing_changes_what_is_learnt(make_config: MakeConfig, tmp_path: Path) -> None:
    heads = []
    for weighing in ("fixed", "uncertainty", "pcgrad"):
        told = {"edges": {"weight": 1.0}, "weighing": weighing}
        train(make_config(model=MODEL, auxiliary=told), tmp_path / weighing, quiet=True)
        heads.append(load_model(tmp_path / weighing / "model").module.state_dict())
    name = "segmentation_head.weight"
    assert not torch.equal(heads[0][name], heads[1][name])
    assert not torch.equal(heads[0][name], heads[2][name])


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"auxiliary": {"edges": {"weight": 1}}}, "model.decoder is fpn: set it to hierarchy"),
        ({"auxiliary": {"weighing": "pcgrad"}, "model": MODEL}, "all weights are 0"),
        (
            {
                "auxiliary": {"weighing": "pcgrad", "edges": {}},
                "model": MODEL,
                "training": {"processes": 2},
            },
            "works within one process",
        ),
    ],
    ids=str,
)
def test_terms_that_cannot_be_are_refused(values: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        TrainConfig.model_validate({"data": {"classes": {0: "a", 1: "b"}}, **values})
