"""Learning without labels, from a config to an encoder that a training starts from."""

from pathlib import Path
from typing import Any

import pytest
import torch
from broken_runs import PLACES, broken_off
from roof_scenes import MakeConfig
from safetensors.torch import load_file
from torch import nn

from geohier.config.schema import TrainConfig
from geohier.data.unlabelled import prepare_unlabelled
from geohier.data.views import Views, fit_views
from geohier.errors import ConfigError, InputError, ModelError, OutputExistsError
from geohier.models.directory import load_model
from geohier.models.pretrainer import Pretrainer
from geohier.models.segmentation import build_segmenter
from geohier.training.fit import train
from geohier.training.log import Row, read_rows
from geohier.training.pretrain import pretrain
from geohier.training.pretrain_result import ENCODER, read_about, whole_statistics
from geohier.training.pretrain_task import PretrainTask

CLOCK = {"seconds", "mpx_per_s", "waiting"}


@pytest.fixture
def config(make_config: MakeConfig) -> TrainConfig:
    return make_config(
        chips={"size_px": 64, "batch_size": 4, "per_epoch": 8},
        training={"epochs": 2},
        pretraining={"mask_px": 16, "contrast": 0.5},
    )


def course(run: Path) -> list[Row]:
    """Return the rows of a run, but for what a clock says."""
    return [{k: v for k, v in row.items() if k not in CLOCK} for row in read_rows(run)]


def with_pretraining(config: TrainConfig, **changes: object) -> TrainConfig:
    said = config.pretraining.model_copy(update=changes)
    return config.model_copy(update={"pretraining": said})


def test_a_run_leaves_an_encoder_that_says_what_it_is(config: TrainConfig, tmp_path: Path) -> None:
    encoder = pretrain(config, tmp_path / "run", quiet=True)
    assert {path.name for path in (tmp_path / "run").iterdir()} == {
        *("checkpoints", "config.yaml", "curve.png", "examples.png", "run.json"),
        *("metrics.csv", "metrics.jsonl", ENCODER),
    }
    about = read_about(encoder)
    assert [len(about["bands"][key]) for key in ("names", "mean", "std")] == [2, 2, 2]
    rows = read_rows(tmp_path / "run")
    best = rows[about["best_epoch"] - 1]
    assert about["scores"] == {k: v for k, v in best.items() if k.startswith(("psnr", "gain"))}
    assert {f"psnr.level_{at}" for at in range(4)} <= set(about["scores"])
    assert best["gain"] == max(row["gain"] for row in rows)
    assert 0 < rows[-1]["contrast_spread"] <= 1.1
    assert str(tmp_path) not in (tmp_path / "run" / "run.json").read_text() + str(about)


def test_a_training_starts_from_it_with_the_pyramid(config: TrainConfig, tmp_path: Path) -> None:
    encoder = pretrain(config, tmp_path / "run", quiet=True)
    still = {"epochs": 1, "ema_decay": 0, "learning_rate": 1e-12, "seed": 3}
    fitted = config.model_copy(
        update={
            "training": config.training.model_copy(update=still),
            "weights": config.weights.model_copy(update={"file": encoder}),
        }
    )
    model = load_model(train(fitted, tmp_path / "fitted", quiet=True))
    started: Any = model.card.trained_on["started_from"]
    pretrained, found = load_file(encoder), model.module.state_dict()
    assert started["tensors"] == len(pretrained)
    assert started["share_of_encoder"] == 1
    for name in ("decoder.p5.weight", "decoder.p2.skip_conv.weight"):
        torch.testing.assert_close(found[name], pretrained[name])


def test_a_run_that_was_broken_off_anywhere_and_resumed_equals_an_unbroken_one(
    config: TrainConfig, tmp_path: Path
) -> None:
    whole = pretrain(config, tmp_path / "whole", quiet=True)
    for place in PLACES:
        out = tmp_path / place
        with broken_off(PretrainTask, place, epoch=1):
            pretrain(config, out, quiet=True)
        assert pretrain(config, out, resume=True, quiet=True).read_bytes() == whole.read_bytes()
        assert course(out) == course(tmp_path / "whole"), place


def test_a_finished_run_is_returned_and_another_one_is_refused(
    config: TrainConfig, tmp_path: Path
) -> None:
    encoder = pretrain(config, tmp_path / "run", quiet=True)
    before = encoder.stat().st_mtime_ns
    assert pretrain(config, tmp_path / "run", resume=True).stat().st_mtime_ns == before
    with pytest.raises(OutputExistsError):
        pretrain(config, tmp_path / "run")
    other = with_pretraining(config, mask_share=0.3)
    with pytest.raises(ConfigError, match=r"pretraining\.mask_share was 0\.6, now 0\.3"):
        pretrain(other, tmp_path / "run", resume=True)


def test_a_finished_run_needs_no_weights_any_more(config: TrainConfig, tmp_path: Path) -> None:
    first = pretrain(config, tmp_path / "first", quiet=True)
    weights = config.weights.model_copy(update={"file": first})
    further = config.model_copy(update={"weights": weights})
    second = pretrain(further, tmp_path / "second", quiet=True)
    first.unlink()
    assert pretrain(further, tmp_path / "second", resume=True, quiet=True) == second


def test_running_statistics_are_those_of_whole_images(config: TrainConfig) -> None:
    """With them, the encoder answers as if it had normalised images by their own statistics."""
    data = prepare_unlabelled(config)
    network = Pretrainer(build_segmenter(config.model, 2, 2), 2, contrast=False)
    network.pyramid.train()
    for _ in range(5):  # statistics of images with holes
        network.pyramid(torch.zeros(2, 2, 64, 64))
    views = fit_views(data, config)
    image = torch.stack([views[at]["image"][0] for at in range(len(views))])
    before = network.pyramid.eval()(image)[0]
    whole_statistics(network.pyramid, views, batch_size=len(views))
    assert not any(module.training for module in network.pyramid.modules())
    after = network.pyramid(image)[0]
    own = network.pyramid.train()(image)[0]
    assert (after - own).abs().mean() < 0.03 * own.abs().mean()
    assert (before - own).abs().mean() > 0.3 * own.abs().mean()


def test_a_loss_that_is_not_finite_stops_the_run(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config.model_copy(update={"chips": config.chips.model_copy(update={"per_epoch": 16})})
    terms = PretrainTask.terms

    def broken(self: PretrainTask, batch: Views) -> dict[str, torch.Tensor]:
        lost = torch.nan if self.current_epoch else 1.0
        return {name: lost * term for name, term in terms(self, batch).items()}

    monkeypatch.setattr(PretrainTask, "terms", broken)
    with pytest.raises(ModelError, match="not finite in 3 steps in a row of epoch 2"):
        pretrain(config, tmp_path / "run", quiet=True)
    assert len(read_rows(tmp_path / "run")) == 1


@pytest.mark.parametrize(
    ("weights", "absent"),
    [((1, 0), ("projector", "contrast")), ((0, 1), ("nothing", "reconstruction"))],
)
def test_a_term_of_weight_0_is_not_there(
    config: TrainConfig, tmp_path: Path, weights: tuple[float, float], absent: tuple[str, str]
) -> None:
    config = with_pretraining(config, reconstruction=weights[0], contrast=weights[1])
    pretrain(config, tmp_path / "run", quiet=True)
    rows = read_rows(tmp_path / "run")
    kept = torch.load(tmp_path / "run" / "checkpoints" / "best.ckpt", weights_only=True)
    assert not any(absent[0] in name for name in kept["state_dict"])
    assert absent[1] not in rows[0]
    assert rows[0]["loss"] == pytest.approx(rows[0][{"contrast": "reconstruction"}.get(
        absent[1], "contrast")])  # fmt: skip


def test_chips_must_hold_masked_blocks(config: TrainConfig, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="chips of 64 px do not hold two masked blocks of 40 px"):
        pretrain(with_pretraining(config, mask_px=40), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("decoder", ["fpn", "unet", "hierarchy"])
def test_every_level_learns(make_config: MakeConfig, decoder: str) -> None:
    config = make_config(model={"decoder": decoder})
    network = Pretrainer(build_segmenter(config.model, 2, 2), 2, contrast=False)
    for head in network.heads:  # they start as the mean predictor, which lets nothing through
        assert isinstance(head, nn.Conv2d)
        nn.init.ones_(head.weight)
    levels = network.rebuilt(network.pyramid(torch.randn(1, 2, 64, 64)))
    assert [64 // level.shape[-1] for level in levels] == list(network.strides)
    for level in levels:
        network.zero_grad()
        level.square().sum().backward(retain_graph=True)
        first = next(network.pyramid.encoder.parameters())
        assert first.grad is not None
        assert first.grad.abs().sum() > 0


def test_no_imagery_left_is_told(config: TrainConfig, scenes: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (scenes / "train" / "images" / f"{name}.tif").write_bytes(
            (scenes / "val" / "images" / "c.tif").read_bytes()
        )
    with pytest.raises(InputError, match="no imagery is left to pretrain on: all 2 train scenes"):
        pretrain(config, tmp_path / "run")
