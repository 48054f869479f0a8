"""`geohier pretrain` as it is typed, from images to an encoder that `train --init` takes."""

import re
from pathlib import Path

import pytest
import yaml
from cli.conftest import Run

from geohier.models.directory import load_model


@pytest.fixture
def config(roofs_config: Path) -> Path:
    """A config without classes."""
    values = yaml.safe_load(roofs_config.read_text())
    del values["data"]["classes"]
    roofs_config.write_text(yaml.safe_dump(values))
    return roofs_config


CLASSES = "data.classes={0: ground, 1: roof}"


def test_images_become_an_encoder_from_which_a_training_starts(config: Path, run: Run) -> None:
    done = run("pretrain", config)
    assert done.code == 0, done.err
    encoder = "runs/roofs-pretrain/encoder.safetensors"
    assert f"geohier train {config} --init {encoder}" in done.out
    assert re.findall(r"^epoch \d/2", done.err, re.MULTILINE) == ["epoch 1/2", "epoch 2/2"]
    assert "note: 1 val scenes are left out" in done.err

    quick = ("--fast-dev-run", "--quiet", "--set", CLASSES, "--out", "fitted")
    fitted = run("train", config, "--init", encoder, *quick)
    assert fitted.code == 0, fitted.err
    assert "started_from" in load_model("fitted/model").card.trained_on

    again = run("pretrain", config)
    assert again.code == 2
    assert "--resume" in again.err
    assert run("pretrain", config, "--resume").out == done.out


def test_a_quick_try_goes_through_everything_and_json_says_the_scores(
    config: Path, run: Run
) -> None:
    done = run("pretrain", config, "--fast-dev-run", "--json", "--quiet", "--out", "tried")
    assert done.code == 0, done.err
    assert done.err == ""
    assert done.json["encoder"] == "tried/encoder.safetensors"
    assert done.json["steps"] == 2
    assert {f"gain.level_{at}" for at in range(4)} <= set(done.json["scores"])


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("pretraining.contrastive=1", "unknown key; did you mean contrast?"),
        ("pretraining.mask_share=0", "give a number above 0"),
        ("pretraining.mask_share=1", "give a number below 1"),
        ("pretraining.reconstruction=0", "reconstruction and contrast are both 0"),
        ("pretraining.gsd_range=[2, 1]", "gsd_range falls from 2 to 1: swap them"),
        ("pretraining.mask_px=33", "chips of 64 px do not hold two masked blocks of 33 px"),
        ("data.exclude=[a]", "no scene is left to train on"),
    ],
)
def test_what_cannot_be_pretrained_is_told_in_one_line(
    config: Path, run: Run, override: str, says: str
) -> None:
    done = run("pretrain", config, "--set", override)
    assert done.code in (2, 3)
    assert says in done.err
    assert len(done.err.splitlines()) == 1
    assert not Path("runs/roofs-pretrain").exists()
