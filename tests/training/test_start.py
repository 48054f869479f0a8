"""A training that starts from what is known: another model, a file, published weights."""

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from roof_scenes import MakeConfig
from safetensors.torch import load_file

from geohier.config.load import dump_config
from geohier.errors import ConfigError, ModelError, OutputExistsError, ResourceError
from geohier.models.directory import load_model
from geohier.models.manifest import SUMS, WEIGHTS
from geohier.training.fit import train

STILL = {"epochs": 1, "ema_decay": 0, "learning_rate": 1e-12}
"""A course in which weights stay what they are; running statistics do not."""


@pytest.fixture
def trained(make_config: MakeConfig, tmp_path: Path) -> Path:
    return train(make_config(training={"epochs": 1}), tmp_path / "first", quiet=True)


def parameters(model: Path) -> dict[str, torch.Tensor]:
    tensors = load_file(model / WEIGHTS)
    return {name: value for name, value in tensors.items() if "running" not in name
            and "num_batches" not in name}  # fmt: skip


def test_a_model_goes_on_from_another_one(
    make_config: MakeConfig, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = make_config(training={**STILL, "seed": 7}, weights={"file": trained})
    model = train(config, tmp_path / "second")
    for name, value in parameters(trained).items():
        if "conv1" not in name:  # rescaled: the statistics are measured anew with each seed
            torch.testing.assert_close(parameters(model)[name], value)
    started: Any = load_model(model).card.trained_on["started_from"]
    assert (started["weights"], started["share_of_encoder"]) == ("model", 1.0)
    assert "note: starts from model" in capsys.readouterr().err


def test_it_may_have_other_classes_and_fewer_bands(
    make_config: MakeConfig, trained: Path, tmp_path: Path
) -> None:
    config = make_config(
        data={"classes": {0: "land", 1: "roof"}, "bands": [1]},
        training=STILL,
        weights={"file": trained},
    )
    model = train(config, tmp_path / "second", quiet=True)
    before, after = parameters(trained), parameters(model)
    head = "segmentation_head.0.weight"
    torch.testing.assert_close(after[head][1], before[head][1])
    assert not torch.allclose(after[head][0], before[head][0])
    first = next(name for name, value in before.items() if value.shape[1:2] == (2,))
    assert after[first].shape[1] == 1


def test_a_run_says_by_hash_what_it_started_from_and_names_no_folder(
    make_config: MakeConfig, trained: Path, tmp_path: Path
) -> None:
    config = make_config(training=STILL, weights={"file": trained})
    model = train(config, tmp_path / "second", quiet=True)
    kept = load_model(model).config.weights
    assert (kept.file, len(kept.sha256 or "")) == (None, 64)
    assert str(tmp_path) not in dump_config(config)
    with pytest.raises(ConfigError, match=r"neither weights\.name nor weights\.file says where"):
        train(make_config(weights={"sha256": kept.sha256}), tmp_path / "third")


def test_a_run_goes_on_only_with_the_weights_that_it_began_with(
    make_config: MakeConfig, trained: Path, tmp_path: Path
) -> None:
    config = make_config(training=STILL, weights={"file": trained})
    model = train(config, tmp_path / "run", quiet=True)
    before = (model / SUMS).read_text()
    again = train(config, tmp_path / "run", resume=True, quiet=True)
    assert (again / SUMS).read_text() == before
    with pytest.raises(ConfigError, match=r"weights\.sha256 was .* the same weights \(--init\)"):
        train(make_config(training=STILL), tmp_path / "run", resume=True, quiet=True)


def test_a_finished_run_needs_no_weights_any_more(
    make_config: MakeConfig, trained: Path, tmp_path: Path
) -> None:
    config = make_config(training=STILL, weights={"file": trained})
    model = train(config, tmp_path / "run", quiet=True)
    trained.rename(tmp_path / "elsewhere")
    assert train(config, tmp_path / "run", resume=True, quiet=True) == model
    with pytest.raises(OutputExistsError):
        train(config, tmp_path / "run", quiet=True)
    another = make_config(training={**STILL, "seed": 1}, weights={"file": trained})
    with pytest.raises(ConfigError, match=r"training\.seed was 0, now 1"):
        train(another, tmp_path / "run", resume=True, quiet=True)
    (model.parent / "config.yaml").write_text("")
    with pytest.raises(ModelError, match="no such file or model directory"):
        train(config, tmp_path / "run", resume=True, quiet=True)


def test_published_weights_are_found_by_name(
    make_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(5)
    published = timm.create_model("resnet10t")
    (tmp_path / "weights").mkdir()
    torch.save(published.state_dict(), tmp_path / "weights" / "timm_resnet10t.c3_in1k.pth")
    config = make_config(
        model={"encoder": "resnet10t", "pyramid_channels": 32},
        training=STILL,
        weights={"name": "timm/resnet10t.c3_in1k"},
    )
    monkeypatch.setenv("GEOHIER_WEIGHTS", str(tmp_path / "weights"))
    model = train(config, tmp_path / "run", quiet=True)
    torch.testing.assert_close(
        parameters(model)["encoder.model.layer1.0.conv1.weight"],
        published.state_dict()["layer1.0.conv1.weight"],
    )


@pytest.mark.parametrize(
    ("weights", "error", "says"),
    [
        ({"file": "missing.pth"}, ModelError, "no such file or model directory"),
        ({"name": "resnet18"}, ConfigError, "nobody publishes resnet18"),
        ({"name": "timm/resnet10t.c3_in1k"}, ResourceError, "not on this machine"),
    ],
)
def test_weights_that_cannot_be_had_are_told_before_anything_is_written(
    make_config: MakeConfig, tmp_path: Path, weights: dict[str, str], error: type, says: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.delenv("GEOHIER_WEIGHTS", raising=False)
    with pytest.raises(error, match=says):
        train(make_config(weights=weights), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_weights_of_another_network_are_refused(
    make_config: MakeConfig, trained: Path, tmp_path: Path
) -> None:
    config = make_config(
        model={"encoder": "resnet10t", "pyramid_channels": 32}, weights={"file": trained}
    )
    with pytest.raises(ModelError, match="belong to another encoder"):
        train(config, tmp_path / "run")
