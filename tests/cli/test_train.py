import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from geohier.cli.main import app
from geohier.models.directory import load_model

runner = CliRunner()


@pytest.fixture
def config(roofs_config: Path) -> Path:
    """The config that is typed."""
    return roofs_config


def test_a_config_becomes_a_model_and_the_next_step_is_named(config: Path) -> None:
    done = runner.invoke(app, ["train", str(config), "--set", "training.seed=3"])
    assert done.exit_code == 0, done.output
    assert load_model("runs/roofs/model").config.training.seed == 3
    assert "geohier predict SCENE --model runs/roofs/model" in done.stdout
    assert re.findall(r"^epoch \d/2", done.stderr, re.MULTILINE) == ["epoch 1/2", "epoch 2/2"]

    again = runner.invoke(app, ["train", str(config), "--set", "training.seed=3"])
    assert again.exit_code == 2
    assert "--resume" in again.stderr
    assert len(again.stderr.splitlines()) == 1
    resumed = runner.invoke(app, ["train", str(config), "--set", "training.seed=3", "--resume"])
    assert resumed.exit_code == 0, resumed.output


def test_a_quick_try_goes_through_everything_and_json_says_the_score(config: Path) -> None:
    options = ["--fast-dev-run", "--json", "--quiet", "--half", "--out", "tried"]
    done = runner.invoke(app, ["train", str(config), *options])
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert said["model"] == "tried/model"
    assert said["best_epoch"] == 1
    assert set(said["choose"]) == {"mean_iou", "iou"}
    assert done.stderr == ""
    assert load_model("tried/model").card.trained_on["steps"] == 2


def test_a_training_starts_from_another_model(config: Path) -> None:
    quick = ["train", str(config), "--fast-dev-run", "--quiet"]
    assert runner.invoke(app, [*quick, "-o", "first"]).exit_code == 0
    again = runner.invoke(app, [*quick, "-o", "second", "--init", "first/model"])
    assert again.exit_code == 0, again.output
    assert "started_from" in load_model("second/model").card.trained_on


@pytest.mark.parametrize(
    ("init", "code", "says"),
    [
        ("missing.pth", 4, "no such file"),
        ("ResNet18_Weights.NONE", 2, "did you mean ResNet18_Weights."),
        ("timm/resnet10t.c3_in1k", 5, "--allow-download"),
    ],
)
def test_weights_that_cannot_be_had_end_in_one_line(
    config: Path, init: str, code: int, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GEOHIER_WEIGHTS", raising=False)
    refused = runner.invoke(app, ["train", str(config), "--init", init])
    assert refused.exit_code == code, refused.output
    assert says in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    assert not Path("runs/roofs").exists()


def test_published_weights_are_fetched_only_where_that_is_allowed(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched: list[str] = []

    def fetch(repository: str, *_: object, **__: object) -> str:
        fetched.append(repository)
        raise OSError("no route to host")

    monkeypatch.delenv("GEOHIER_WEIGHTS", raising=False)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", fetch)
    command = ["train", str(config), "--init", "timm/resnet10t.c3_in1k", "--allow-download"]
    refused = runner.invoke(app, command)
    assert (refused.exit_code, fetched) == (5, ["timm/resnet10t.c3_in1k"])
    assert "could not be fetched: no route to host" in refused.stderr


def test_fewer_labels_are_an_option(config: Path) -> None:
    quick = ["train", str(config), "--fast-dev-run", "--quiet", "-o", "few"]
    done = runner.invoke(app, [*quick, "--label-share", "0.5"])
    assert done.exit_code == 0, done.output
    assert load_model("few/model").config.training.label_share == 0.5
    refused = runner.invoke(app, [*quick, "--label-share", "0"])
    assert refused.exit_code == 2


def test_a_quick_try_keeps_out_of_the_way_of_the_run_itself(config: Path) -> None:
    tried = runner.invoke(app, ["train", str(config), "--fast-dev-run", "--quiet"])
    assert tried.exit_code == 0, tried.output
    assert "runs/roofs-fast/model" in tried.stdout
    assert not Path("runs/roofs").exists()


@pytest.mark.parametrize(
    ("change", "code", "says"),
    [
        ("model.encoder=resnet81", 2, "did you mean"),
        ("trainig.seed=1", 2, "did you mean"),
        ("data.root=nowhere", 3, "no such folder"),
        ("data.classes={9: a, 8: b}", 3, "values"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_and_leaves_no_folder(
    config: Path, change: str, code: int, says: str
) -> None:
    done = runner.invoke(app, ["train", str(config), "--set", change, "--out", "run"])
    assert done.exit_code == code, done.output
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not Path("run").exists()


def test_a_data_set_is_fetched_only_when_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torchgeo.datasets.loveda

    def fail(*_: object, **__: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(torchgeo.datasets.loveda, "download_and_extract_archive", fail)
    path = tmp_path / "loveda.yaml"
    path.write_text("data: {torchgeo: {dataset: LoveDA}, classes: {a: 1, b: 2}}\n")
    command = ["train", str(path), "--out", str(tmp_path / "run")]
    left = runner.invoke(app, command)
    assert (left.exit_code, "--allow-download" in left.stderr) == (3, True)
    asked = runner.invoke(app, [*command, "--allow-download"])
    assert (asked.exit_code, "no route to host" in asked.stderr) == (5, True)
