"""What an ablation refuses before anything is trained."""

from pathlib import Path

import pytest

from geohier.errors import ConfigError
from geohier.studies.ablate_cell import folder_of
from geohier.studies.ablate_plan import Ablation, plan_ablation, steps_of

CONFIG = """
data: {classes: {ground: 0, roof: 1}}
model: {encoder: test_resnet, downsample: 2}
chips: {size_px: 64, batch_size: 4, per_epoch: 10}
training: {epochs: 5, seed: 7}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "roofs.yaml"
    path.write_text(CONFIG)
    return path


def names(planned: Ablation) -> list[str]:
    return [one.name for one in planned.variants]


def test_the_config_as_it_is_comes_first_and_seeds_count_from_its_own(config: Path) -> None:
    planned = plan_ablation(config, ["model.dropout=0,0.5"], seeds=2)
    assert [str(cell) for cell in planned.cells] == [
        f"{name}, seed {seed}"
        for seed in (7, 8)
        for name in ("baseline", "model.dropout=0", "model.dropout=0.5")
    ]
    for cell in planned.cells:
        loaded = planned.load(cell)
        assert loaded.training.seed == cell.seed
        assert loaded.training.patience is None
        assert steps_of(loaded) == 5 * (10 // 4)
    assert planned.notes == ("training.patience does not count: all cells take the same steps",)


def test_an_axis_that_holds_the_config_s_own_value_does_not_train_it_twice(config: Path) -> None:
    planned = plan_ablation(config, ["model.decoder=fpn,unet"])
    assert names(planned) == ["baseline", "model.decoder=unet"]
    assert planned.notes[0] == "model.decoder=fpn is the config as it is: it is not trained again"


def test_a_named_variant_is_trained_even_if_it_changes_nothing(config: Path) -> None:
    axes = config.with_name("axes.yaml")
    axes.write_text("same: {model.dropout: 0.1}\nagain: {training.workers: 0}\n")
    planned = plan_ablation(config, [str(axes)])
    assert names(planned) == ["baseline", "same", "again"]
    assert planned.equal == {"same", "again"}


@pytest.mark.parametrize(
    ("axes", "says"),
    [
        ("model.decoder=fpm", "--axes model.decoder: model.decoder: give 'fpn', 'unet'"),
        ("model.decodr=fpn", "--axes model.decodr: model.decodr: unknown key; did you mean"),
        ("model.encoder=resnet18x", "neither timm nor smp has an encoder named 'resnet18x'; did"),
        ("model.segmentation_channels=33", "--axes model.segmentation_channels: model.segm"),
        ("model.downsample=1", "model.downsample: cannot be compared, since it changes the pixels"),
        ("training.seed=1", "training.seed: cannot be compared, since it is what --seeds changes"),
        ("training.patience=3", "training.patience: cannot be compared, since it is null in each"),
        ("data.ignore=0", "cannot be compared, since it changes which ground judges"),
        ("training.epochs=6", "training.epochs=6 takes 12 steps, but the config 10: scores are"),
        ("chips.batch_size=2", "takes 25 steps, but the config 10"),
        ("training.max_steps=3", "takes 3 steps, but the config 10"),
        ("fine_tuning.lora_rank=2", "the encoder has no attention to adapt"),
        ("model.decoder=fpn", "no variant differs from the config: give others by --axes"),
        ("chips.per_epoch=null", "as cover the scenes: state chips.per_epoch"),
        ("augment.gain=0,0.0", "augment.gain=0.0 and augment.gain=0 are the same config: drop one"),
    ],
)
def test_what_cannot_be_built_or_compared_is_refused(config: Path, axes: str, says: str) -> None:
    if axes.startswith("data.ignore"):
        config.write_text(CONFIG.replace("ground: 0", "ground: 2"))
    with pytest.raises(ConfigError) as told:
        plan_ablation(config, [axes])
    assert says in str(told.value)
    assert "\n" not in str(told.value)


def test_as_many_steps_on_other_chips_may_be_compared(config: Path) -> None:
    assert names(plan_ablation(config, ["chips.size_px=32"])) == ["baseline", "chips.size_px=32"]
    text = CONFIG.replace("per_epoch: 10", "per_epoch: null")
    config.write_text(text)
    assert len(names(plan_ablation(config, ["model.dropout=0"]))) == 2
    with pytest.raises(ConfigError, match="as cover the scenes"):
        plan_ablation(config, ["chips.size_px=32"])


def test_val_may_judge_other_pixels_of_the_network(config: Path) -> None:
    assert len(names(plan_ablation(config, ["model.downsample=1"], judge="val"))) == 2
    with pytest.raises(ConfigError, match=r"training.block_px: cannot be compared"):
        plan_ablation(config, ["training.block_px=64"], judge="val")


def test_each_cell_has_a_folder_that_any_system_takes(config: Path, tmp_path: Path) -> None:
    axes = config.with_name("axes.yaml")
    axes.write_text(
        f"'a/b': {{model.dropout: 0}}\n'a:b': {{model.dropout: 0.2}}\n"
        f"..: {{model.dropout: 0.3}}\n{'x' * 300}: {{model.dropout: 0.4}}\n"
    )
    planned = plan_ablation(config, [str(axes)], seeds=2)
    folders = [folder_of(tmp_path, cell) for cell in planned.cells]
    assert len({str(one).lower() for one in folders}) == len(folders) == 10
    for one in folders:
        assert one.parent == tmp_path / "cells"
        one.mkdir(parents=True)
