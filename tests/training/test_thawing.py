"""Fine-tuning: a frozen encoder, stages that thaw one after the other, slower stages."""

from pathlib import Path

import pytest
import torch
from broken_runs import broken_off
from roof_scenes import MakeConfig
from torch import nn

from geohier.config.fine_tuning import FineTuningConfig
from geohier.config.model import ModelConfig
from geohier.config.training import TrainingConfig
from geohier.models.directory import load_model
from geohier.models.manifest import SUMS
from geohier.models.segmentation import build_segmenter
from geohier.models.stages import encoder_body, encoder_stages
from geohier.training.fit import train
from geohier.training.schedule import optimizer
from geohier.training.task import SegmentationTask
from geohier.training.thawing import Thaw, rates


def network(encoder: str = "test_resnet", depth: int = 5) -> nn.Module:
    return build_segmenter(
        ModelConfig(encoder=encoder, decoder="unet", encoder_depth=depth), bands=2, classes=2
    )


@pytest.mark.parametrize(
    ("encoder", "depth", "count"),
    [
        ("test_resnet", 5, 5),
        ("resnet10t", 4, 4),
        ("mobilenetv2_050", 5, 5),
        ("mobilenetv4_conv_small", 5, 5),
        ("convnext_atto", 4, 3),
        ("test_vit", 5, 6),
        ("mit_b0", 5, 1),
    ],
)
def test_stages_share_out_the_encoder_from_fine_to_coarse(
    encoder: str, depth: int, count: int
) -> None:
    net = network(encoder, depth)
    stages = encoder_stages(net)
    assert len(stages) == count
    own = [id(parameter) for stage in stages for parameter in stage.parameters]
    order = {id(p): at for at, p in enumerate(encoder_body(net.encoder).parameters())}
    assert sorted(own) == sorted(order)
    assert [order[one] for one in own] == sorted(order.values())
    assert all(stage.parameters for stage in stages)


def test_the_pyramid_over_a_frozen_transformer_learns() -> None:
    net = network("test_vit")
    for stage in encoder_stages(net):
        stage.freeze(frozen=True)
    assert not any(one.requires_grad for one in net.get_submodule("encoder.model").parameters())
    assert all(one.requires_grad for one in net.get_submodule("encoder.neck").parameters())


def encoder_of(run: Path) -> dict[str, torch.Tensor]:
    tensors = load_model(run).module.state_dict()
    return {name: value for name, value in tensors.items() if name.startswith("encoder.")}


@pytest.mark.parametrize("frozen", [2, None])
def test_a_frozen_encoder_is_what_it_was_to_the_bit(
    make_config: MakeConfig, tmp_path: Path, frozen: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights and running statistics alike, though their averages are what is kept."""
    began: list[dict[str, torch.Tensor]] = []
    start = Thaw.on_train_epoch_start

    def watched(self: Thaw, trainer: object, module: nn.Module) -> None:
        state = module.get_submodule("network.encoder").state_dict()
        began.append({f"encoder.{name}": value.clone() for name, value in state.items()})
        start(self, trainer, module)  # type: ignore[arg-type]

    monkeypatch.setattr(Thaw, "on_train_epoch_start", watched)
    config = make_config(training={"epochs": 2}, fine_tuning={"frozen_epochs": frozen})
    after = encoder_of(train(config, tmp_path / "run", quiet=True))
    for name, value in began[0].items():
        assert torch.equal(after[name], value), name


def test_stages_thaw_one_after_the_other(make_config: MakeConfig, tmp_path: Path) -> None:
    """Finer stages than those that were thawed are as they were; the coarsest has learnt."""
    sections = {"training": {"epochs": 2, "ema_decay": 0, "patience": None}}
    config = make_config(fine_tuning={"frozen_epochs": 1, "thaw_every": 1}, **sections)
    frozen = make_config(fine_tuning={"frozen_epochs": None}, **sections)
    some = load_model(train(config, tmp_path / "some", quiet=True))
    none = load_model(train(frozen, tmp_path / "none", quiet=True))
    best = some.card.trained_on["best_epoch"]
    if best != 2:
        pytest.fail(f"the second epoch should be the best one here, found {best}")
    learnt = [
        not all(torch.equal(a, b) for a, b in zip(one.parameters, other.parameters, strict=True))
        for one, other in zip(encoder_stages(some.module), encoder_stages(none.module), strict=True)
    ]
    assert learnt == [False, False, False, False, True]


def test_a_fine_tuning_that_was_broken_off_goes_on_as_it_was(
    make_config: MakeConfig, tmp_path: Path
) -> None:
    gently = {"frozen_epochs": 1, "thaw_every": 1, "stage_decay": 0.5}
    config = make_config(fine_tuning=gently, training={"epochs": 3})
    whole = train(config, tmp_path / "whole", quiet=True)
    with broken_off(SegmentationTask, "before it is saved", epoch=2):
        train(config, tmp_path / "broken", quiet=True)
    resumed = train(config, tmp_path / "broken", resume=True, quiet=True)
    assert (resumed / SUMS).read_text() == (whole / SUMS).read_text()


def test_frozen_statistics_are_left_alone_while_all_weights_learn(
    make_config: MakeConfig, tmp_path: Path
) -> None:
    config = make_config(training={"epochs": 1}, fine_tuning={"frozen_statistics": True})
    module = load_model(train(config, tmp_path / "run", quiet=True)).module
    norms = [one for one in module.modules() if isinstance(one, nn.BatchNorm2d)]
    assert len(norms) > 5
    for norm in norms:
        assert not norm.running_mean.any()
        assert bool((norm.running_var == 1).all())
    assert any(bool(norm.bias.any()) for norm in norms)


@pytest.mark.parametrize("frozen", [0, None])
def test_thawing_what_is_not_frozen_for_a_while_is_refused(frozen: int | None) -> None:
    with pytest.raises(ValueError, match="thaw_every is set, but frozen_epochs"):
        FineTuningConfig(frozen_epochs=frozen, thaw_every=1)


def test_finer_stages_learn_more_slowly() -> None:
    net = network()
    config = FineTuningConfig(encoder_rate=0.5, stage_decay=0.5)
    adamw = optimizer(net, TrainingConfig(learning_rate=1.0), rates(net, config))
    found = {id(p): group["lr"] for group in adamw.param_groups for p in group["params"]}
    stages = encoder_stages(net)
    for at, stage in enumerate(stages):
        assert {found[id(p)] for p in stage.parameters} == {0.5 * 0.5 ** (len(stages) - 1 - at)}
    head = net.get_submodule("segmentation_head")
    assert {found[id(p)] for p in head.parameters()} == {1.0}
    assert adamw.param_groups[0]["lr"] == 1.0  # the rate that the log shows
