import json
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from geohier.cli.config import app as config_app
from geohier.cli.init import init
from geohier.cli.main import app

runner = CliRunner()
init_app = typer.Typer()
init_app.command()(init)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for at in range(5):
        for kind, bands in (("images", 3), ("masks", 1)):
            (tmp_path / kind).mkdir(exist_ok=True)
            pixels = rng.integers(0, 2, (64, 64, bands), dtype="uint8").squeeze()
            Image.fromarray(pixels).save(tmp_path / kind / f"{at}.png")
    return tmp_path


def test_init_prints_what_it_found_and_config_shows_it(folder: Path) -> None:
    done = runner.invoke(init_app, [str(folder)])
    assert done.exit_code == 0, done.output
    assert f"{folder}/config.yaml: 4 train and 1 val scenes" in done.stdout
    assert "classes class_0 class_1" in done.stdout
    shown = runner.invoke(
        config_app, ["show", str(folder / "config.yaml"), "--set", "chips.batch_size=3"]
    )
    assert shown.exit_code == 0
    assert "batch_size: 3" in shown.stdout


def test_init_twice_is_refused_with_code_2(folder: Path) -> None:
    assert runner.invoke(init_app, [str(folder)]).exit_code == 0
    again = runner.invoke(init_app, [str(folder)])
    assert again.exit_code == 2
    assert "is there already" in again.stderr


def test_init_of_a_folder_without_pairs_ends_with_code_3(tmp_path: Path) -> None:
    done = runner.invoke(init_app, [str(tmp_path)])
    assert done.exit_code == 3
    assert len(done.stderr.splitlines()) == 1


def test_a_bad_config_is_one_line_with_code_2(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("chips: {sise_px: 3}\n")
    done = runner.invoke(config_app, ["show", str(path)])
    assert done.exit_code == 2
    complaint = "chips.sise_px: unknown key; did you mean size_px? (and 1 more mistake)"
    assert done.stderr == f"geohier: {path}: {complaint}\n"


def test_show_without_a_file_prints_the_defaults_and_schema_is_json() -> None:
    assert "size_px: 512" in runner.invoke(config_app, ["show"]).stdout
    assert "data" in json.loads(runner.invoke(config_app, ["schema"]).stdout)["properties"]


def test_an_encoder_that_nobody_knows_is_told_before_training(folder: Path) -> None:
    runner.invoke(init_app, [str(folder)])
    config = str(folder / "config.yaml")
    shown = runner.invoke(config_app, ["show", config, "--set", "model.encoder=resnet19"])
    assert (shown.exit_code, shown.stdout) == (2, "")
    assert shown.stderr == (
        f"geohier: {config}: model.encoder: neither timm nor smp has an encoder named 'resnet19'; "
        "did you mean resnet18?\n"
    )
    known = runner.invoke(config_app, ["show", config, "--set", "model.encoder=resnet34"])
    assert (known.exit_code, "encoder: resnet34" in known.stdout) == (0, True)


def test_changes_need_a_config_that_they_change() -> None:
    refused = CliRunner().invoke(app, ["config", "show", "--set", "chips.sise_px=3"])
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "name its FILE" in refused.stderr
