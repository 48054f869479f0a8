"""What a file of weights says of itself, and what is believed of it."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from geohier.errors import ModelError
from geohier.models.weight_files import ABOUT, SourceBands, read_weights

TENSORS = {"encoder.conv1.weight": torch.zeros(4, 2, 3, 3)}


def write(path: Path, bands: object) -> Path:
    save_file(TENSORS, path, metadata={ABOUT: json.dumps({"bands": bands})})
    return path


def test_a_pretrained_encoder_says_which_bands_it_reads(tmp_path: Path) -> None:
    bands = {"names": ["red", "nir"], "mean": [1, 2.5], "std": [3, 4]}
    found = read_weights(write(tmp_path / "encoder.safetensors", bands)).bands
    assert found == SourceBands(names=("red", "nir"), mean=(1, 2.5), std=(3, 4))


def test_a_file_that_says_nothing_is_taken_as_it_is(tmp_path: Path) -> None:
    save_file(TENSORS, tmp_path / "plain.safetensors")
    assert read_weights(tmp_path / "plain.safetensors").bands is None


@pytest.mark.parametrize(
    "bands",
    [
        "red",
        {"names": ["red", "nir"]},
        {"names": ["red", "nir"], "mean": [1], "std": [3, 4]},
        {"names": ["red", "nir"], "mean": [1, 2], "std": [3, 0]},
        {"names": ["red", "nir"], "mean": [1, float("nan")], "std": [3, 4]},
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, bands: object) -> None:
    with pytest.raises(ModelError, match="what it says of its bands is damaged"):
        read_weights(write(tmp_path / "encoder.safetensors", bands))


def test_of_a_run_s_folder_it_is_said_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no model directory: give one, or a file of tensors"):
        read_weights(tmp_path)
    inside = write(tmp_path / "encoder.safetensors", {"names": [], "mean": None, "std": None})
    with pytest.raises(ModelError, match=f"did you mean {inside}"):
        read_weights(tmp_path)
