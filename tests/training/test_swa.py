"""Stochastic weight averaging: the mean of late epochs, with statistics of its own."""

from pathlib import Path

import pytest
import torch
from broken_runs import broken_off
from lightning.pytorch import Callback, LightningModule, Trainer
from roof_scenes import MakeConfig
from torch.optim.swa_utils import update_bn

from geohier.config.schema import TrainConfig
from geohier.data.chips import fit_chips
from geohier.data.prepare import prepare
from geohier.models.manifest import SUMS
from geohier.models.segmentation import build_segmenter
from geohier.training.fit import train
from geohier.training.loader import batches
from geohier.training.log import read_rows
from geohier.training.task import SegmentationTask


class Weights(Callback):
    """Keeps the weights that are trained, as they are after each epoch."""

    def __init__(self) -> None:
        self.after: list[dict[str, torch.Tensor]] = []

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        network = pl_module.get_submodule("network")
        self.after.append({name: one.clone() for name, one in network.state_dict().items()})


@pytest.fixture
def config(make_config: MakeConfig) -> TrainConfig:
    return make_config(
        training={"epochs": 3, "average": "swa", "swa_share": 0.6, "precision": "fp32"}
    )


def test_the_mean_of_late_epochs_is_kept_with_statistics_of_its_own(
    config: TrainConfig, tmp_path: Path
) -> None:
    seen = Weights()
    train(config, tmp_path / "run", quiet=True, watchers=[seen])
    last = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    found = {k.removeprefix("network."): v for k, v in last["state_dict"].items()}
    expected = build_segmenter(config.model, bands=2, classes=2)
    expected.load_state_dict(seen.after[-1])
    with torch.no_grad():
        for name, one in expected.named_parameters():
            one.copy_((seen.after[1][name] + seen.after[2][name]) / 2)
    chips = fit_chips(prepare(config), config)
    chips.set_epoch(2)
    update_bn((batch["image"] for batch in batches(chips, config, fit=True)), expected)
    for name, value in expected.state_dict().items():
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-5, msg=name)


def test_statistics_of_the_mean_are_measured_on_less_than_a_batch_too(
    make_config: MakeConfig, tmp_path: Path
) -> None:
    few = {"size_px": 64, "batch_size": 4, "per_epoch": 3}
    config = make_config(chips=few, training={"epochs": 2, "average": "swa", "swa_share": 1})
    train(config, tmp_path / "run", quiet=True)
    last = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    variances = [v for k, v in last["state_dict"].items() if k.endswith("running_var")]
    assert all((variance != 1).all() for variance in variances)


def test_until_then_the_weights_themselves_are_judged(
    config: TrainConfig, make_config: MakeConfig, tmp_path: Path
) -> None:
    plain = make_config(training={"epochs": 3, "ema_decay": 0, "precision": "fp32"})
    scores = []
    for name, one in (("swa", config), ("plain", plain)):
        train(one, tmp_path / name, quiet=True)
        scores.append([row["choose_iou"] for row in read_rows(tmp_path / name)])
    assert scores[0][:2] == scores[1][:2]
    assert scores[0][2] != scores[1][2]


def test_a_run_that_was_broken_off_within_the_mean_goes_on_to_the_same_model(
    config: TrainConfig, tmp_path: Path
) -> None:
    whole = train(config, tmp_path / "whole", quiet=True)
    with broken_off(SegmentationTask, "before it is saved", epoch=2):
        train(config, tmp_path / "broken", quiet=True)
    resumed = train(config, tmp_path / "broken", resume=True, quiet=True)
    assert (resumed / SUMS).read_text() == (whole / SUMS).read_text()
