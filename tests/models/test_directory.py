import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from geohier.config.schema import TrainConfig
from geohier.errors import ModelError, OutputExistsError, ResourceError
from geohier.geo.bands import Band, BandSet
from geohier.models.card import ClassLabel, ModelCard
from geohier.models.directory import load_model, save_model, stores_half
from geohier.models.manifest import CARD, CONFIG, SUMS, WEIGHTS
from geohier.models.segmentation import build_segmenter

CONFIG_OF_MODEL = TrainConfig.model_validate(
    {
        "data": {"root": "somewhere", "classes": {0: "land", 1: "water"}},
        "model": {"encoder": "test_resnet", "pyramid_channels": 16, "segmentation_channels": 32},
    }
)
CARD_OF_MODEL = ModelCard(
    bands=BandSet((Band(name="red", dtype="uint8", mean=1, std=2),)),
    classes=(ClassLabel(name="land", color="#000000"), ClassLabel(name="water", color="#0000ff")),
    stride=32,
)


@pytest.fixture(scope="module")
def network() -> nn.Module:
    torch.manual_seed(0)
    network = build_segmenter(CONFIG_OF_MODEL.model, 1, 2)
    network(torch.rand(4, 1, 64, 64))  # statistics that are not those of a fresh network
    return network.eval()


@pytest.fixture
def folder(network: nn.Module, tmp_path: Path) -> Path:
    return save_model(tmp_path / "model", network, CARD_OF_MODEL, CONFIG_OF_MODEL)


def sign(folder: Path) -> None:
    """Make the manifest fit the files again, as one would who meant to change them."""
    names = [WEIGHTS, CARD, CONFIG]
    sums = [f"{hashlib.sha256((folder / n).read_bytes()).hexdigest()}  {n}" for n in names]
    (folder / SUMS).write_text("\n".join(sums) + "\n")


def test_a_loaded_model_answers_as_the_saved_one(network: nn.Module, folder: Path) -> None:
    loaded = load_model(folder)
    image = torch.rand(1, 1, 64, 64)
    torch.testing.assert_close(loaded.module(image), network(image), rtol=0, atol=0)
    assert loaded.card == CARD_OF_MODEL
    assert loaded.config.model == CONFIG_OF_MODEL.model
    assert not loaded.module.training
    assert loaded.sha256 == hashlib.sha256((folder / SUMS).read_bytes()).hexdigest()


def test_the_same_model_gives_the_same_bytes(network: nn.Module, folder: Path) -> None:
    other = save_model(folder.parent / "other", network, CARD_OF_MODEL, CONFIG_OF_MODEL)
    assert (folder / SUMS).read_bytes() == (other / SUMS).read_bytes()


def test_half_precision_weights_take_half_the_space_and_answer_nearly_the_same(
    network: nn.Module, folder: Path
) -> None:
    halved = save_model(folder.parent / "half", network, CARD_OF_MODEL, CONFIG_OF_MODEL, half=True)
    assert (halved / WEIGHTS).stat().st_size < 0.6 * (folder / WEIGHTS).stat().st_size
    assert stores_half(halved)
    assert not stores_half(folder)
    image = torch.rand(1, 1, 64, 64)
    loaded = load_model(halved).module
    assert all(p.dtype == torch.float32 for p in loaded.parameters())
    torch.testing.assert_close(loaded(image), network(image), rtol=0, atol=0.02)


def test_loading_draws_no_random_numbers(folder: Path) -> None:
    torch.manual_seed(7)
    load_model(folder)
    after = torch.rand(1)
    torch.manual_seed(7)
    assert torch.equal(after, torch.rand(1))


@pytest.mark.parametrize("name", [WEIGHTS, CARD, CONFIG, SUMS])
@pytest.mark.parametrize("where", [0.0, 0.5, 0.99])
def test_a_flipped_byte_in_any_file_is_caught(folder: Path, name: str, where: float) -> None:
    data = bytearray((folder / name).read_bytes())
    data[int(where * len(data))] ^= 1
    (folder / name).write_bytes(data)
    with pytest.raises(ModelError) as caught:
        load_model(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [WEIGHTS, CARD, CONFIG, SUMS])
def test_a_missing_or_oversized_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(ModelError, match=name):
        load_model(folder)
    with (folder / name).open("wb") as file:
        file.truncate(1 << 40)  # sparse: must be refused by its size, not read
    with pytest.raises(ModelError, match=name):
        load_model(folder)


def test_what_is_no_model_directory_is_refused(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(ModelError, match="no such folder"):
        load_model(tmp_path / "absent")
    with pytest.raises(ModelError, match="did you mean"):
        load_model(folder.parent)
    with pytest.raises(ModelError, match="is a file: give a model directory"):
        load_model(folder / WEIGHTS)


@pytest.mark.parametrize("change", ["lacks", "has the extra", "needs", "not finite"])
def test_weights_of_another_network_are_refused(folder: Path, change: str) -> None:
    tensors = load_file(folder / WEIGHTS)
    name = "segmentation_head.0.weight"
    match change:
        case "lacks":
            del tensors[name]
        case "has the extra":
            tensors["surplus"] = torch.zeros(1)
        case "needs":
            tensors[name] = tensors[name][:1].clone()
        case _:
            tensors[name] = tensors[name] * torch.nan
    save_file(tensors, folder / WEIGHTS)
    sign(folder)
    with pytest.raises(ModelError, match=change):
        load_model(folder)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (WEIGHTS, "no tensors"),
        (CARD, "{"),
        (CARD, "[]"),
        (CARD, "[" * 100_000),
        (CARD, "{}"),
        (CONFIG, "a: !!python/object:os.system {}"),
        (CONFIG, "a: &a [1]\nb: *a"),
        (CONFIG, "surplus: 1"),
        (CONFIG, "extends: other.yaml"),
    ],
)
def test_files_that_hold_something_else_are_refused_in_one_line(
    folder: Path, name: str, text: str
) -> None:
    (folder / name).write_text(text)
    sign(folder)
    with pytest.raises(ModelError, match=name) as caught:
        load_model(folder)
    assert "\n" not in str(caught.value)


def test_a_config_that_names_an_encoder_on_the_network_is_refused(folder: Path) -> None:
    text = (folder / CONFIG).read_text().replace("test_resnet", "hf-hub:someone/model")
    (folder / CONFIG).write_text(text)
    sign(folder)
    with pytest.raises(ModelError, match="neither timm nor smp"):
        load_model(folder)


def test_a_manifest_cannot_name_files_elsewhere(folder: Path) -> None:
    text = (folder / SUMS).read_text().replace(CARD, "../" + CARD)
    (folder / SUMS).write_text(text)
    with pytest.raises(ModelError, match="a model has"):
        load_model(folder)


def test_a_model_never_replaces_what_is_there(network: nn.Module, folder: Path) -> None:
    before = (folder / SUMS).read_bytes()
    with pytest.raises(OutputExistsError):
        save_model(folder, network, CARD_OF_MODEL, CONFIG_OF_MODEL)
    assert (folder / SUMS).read_bytes() == before
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


def test_a_model_that_has_its_name_keeps_it_when_the_machine_fails(
    network: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files are safe on the disk before the folder has its name, and then the name is too."""
    folder, synced = tmp_path / "models" / "new", []
    fsync = os.fsync

    def recorded(descriptor: int) -> None:
        synced.append((os.fstat(descriptor).st_ino, folder.exists()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", recorded)
    save_model(folder, network, CARD_OF_MODEL, CONFIG_OF_MODEL)
    inside = [folder / name for name in (WEIGHTS, CARD, CONFIG, SUMS)]
    assert {(path.stat().st_ino, False) for path in (*inside, folder)} <= set(synced)
    assert synced[-1] == (folder.parent.stat().st_ino, True)


def test_a_folder_that_cannot_be_made_is_one_line(network: nn.Module, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ResourceError, match="cannot be written"):
        save_model(tmp_path / "file" / "model", network, CARD_OF_MODEL, CONFIG_OF_MODEL)


def test_weights_that_are_not_finite_are_never_saved(tmp_path: Path) -> None:
    network = build_segmenter(CONFIG_OF_MODEL.model, 1, 2)
    with torch.no_grad():
        next(network.parameters()).fill_(1e6)
    with pytest.raises(ModelError, match="float16"):
        save_model(tmp_path / "m", network, CARD_OF_MODEL, CONFIG_OF_MODEL, half=True)
    with torch.no_grad():
        next(network.parameters()).fill_(torch.inf)
    with pytest.raises(ModelError, match="finite"):
        save_model(tmp_path / "m", network, CARD_OF_MODEL, CONFIG_OF_MODEL)
    assert not (tmp_path / "m").exists()


def test_a_saved_config_and_card_name_no_folder_of_this_machine(folder: Path) -> None:
    for name in (CARD, CONFIG):
        assert str(folder.parent) not in (folder / name).read_text()
    assert json.loads((folder / CARD).read_text())["assets"]["weights"]["href"] == f"./{WEIGHTS}"


@pytest.mark.slow
def test_loading_brings_no_training_library(folder: Path) -> None:
    code = (
        "import sys; from geohier.models.directory import load_model; "
        f"load_model({str(folder)!r}); "
        "print([m for m in ('lightning', 'torchgeo', 'pystac') if m in sys.modules])"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    )
    assert done.stdout.strip() == "[]"
