"""Whose folder a run's is: its config decides, but for what changes nothing."""

import json
from pathlib import Path

import pytest
from roof_scenes import MakeConfig

from geohier.config.load import (
    config_hash,
    deciding_values,
    dump_config,
    pretraining_values,
    values_hash,
)
from geohier.config.schema import TrainConfig
from geohier.errors import ConfigError
from geohier.training.run_folder import Decides, check_folder


def started(out: Path, config: TrainConfig, config_sha256: str | None = None) -> Path:
    """Write what a run writes down before its first epoch."""
    out.mkdir()
    (out / "config.yaml").write_text(dump_config(config))
    about = {"config_sha256": config_sha256 or config_hash(config), "data_sha256": {}}
    (out / "run.json").write_text(json.dumps(about))
    return out


def test_a_run_goes_on_with_its_config_wherever_the_data_lie(
    make_config: MakeConfig, tmp_path: Path
) -> None:
    out = started(tmp_path / "run", make_config(training={"workers": 1}))
    moved = make_config(data={"root": tmp_path / "moved"}, training={"workers": 2})
    check_folder(out, moved, resume=True)


def test_what_changes_nothing_is_never_blamed(make_config: MakeConfig, tmp_path: Path) -> None:
    out = started(tmp_path / "run", make_config(training={"workers": 1, "seed": 0}))
    other = make_config(data={"root": tmp_path / "moved"}, training={"workers": 2, "seed": 7})
    with pytest.raises(ConfigError, match=r"training\.seed was 0, now 7"):
        check_folder(out, other, resume=True)


@pytest.mark.parametrize(
    ("was", "instead"),
    [("", ""), ("\ntraining:", "\ngone: 1\ntraining:"), ("epochs: 3", "epochs: three")],
    ids=["only its hash is another", "a key that is gone", "a value of another kind"],
)
def test_a_run_of_another_version_is_refused_as_one(
    make_config: MakeConfig, tmp_path: Path, was: str, instead: str
) -> None:
    out = started(tmp_path / "run", make_config(), config_sha256="0" * 64)
    text = (out / "config.yaml").read_text()
    (out / "config.yaml").write_text(text.replace(was, instead, 1))
    with pytest.raises(ConfigError, match="another version of geohier wrote it"):
        check_folder(out, make_config(), resume=True)


@pytest.mark.parametrize(
    ("by", "of", "command"),
    [
        (pretraining_values, deciding_values, "geohier pretrain"),
        (deciding_values, pretraining_values, "geohier train"),
    ],
)
def test_the_folder_of_another_command_is_refused_as_one(
    make_config: MakeConfig, tmp_path: Path, by: Decides, of: Decides, command: str
) -> None:
    out = started(tmp_path / "run", make_config(), values_hash(by(make_config())))
    with pytest.raises(ConfigError, match=f"holds a run of `{command}`: give another --out"):
        check_folder(out, make_config(training={"seed": 7}), resume=True, decides=of)
