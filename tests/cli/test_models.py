"""geohier models, as it is typed."""

from pathlib import Path

import pytest
from cli.conftest import Run
from PIL import Image


def test_the_list_has_every_decoder_and_every_part_of_the_hierarchy(run: Run) -> None:
    said = run("models")
    assert said.code == 0, said.err
    rows = {line.split()[0]: line for line in said.out.splitlines() if line.startswith("model.")}
    assert rows["model.decoder"].split(maxsplit=2)[1:] == ["fpn", "fpn, unet, hierarchy"]
    assert "concat" in rows["model.hierarchy.fusion"]
    keys = [one["key"] for one in run("models", "--json").json]
    assert keys == list(rows)


def test_encoders_are_listed_by_a_pattern(run: Run) -> None:
    said = run("models", "--encoders", "resnet1[08]*", "--json")
    assert said.code == 0, said.err
    found = {one["name"]: one for one in said.json}
    assert found["resnet18"]["strides"] == [2, 4, 8, 16, 32]
    assert found["resnet18"]["parameters"] == 11_176_512  # torchvision's, without its last layer
    assert "resnet10t" in found
    many = run("models", "--encoders", "*resnet*").out.splitlines()
    assert "resnet34" in many
    assert many[-1].startswith(f"{len(many) - 1} encoders; a narrower pattern")
    assert "convit_tiny  refused: " in run("models", "--encoders", "convit_tiny").out


def test_a_config_is_shown_with_its_levels_and_costs(roofs_config: Path, run: Run) -> None:
    larger = ("--set", "model.downsample=2")
    said = run("models", "show", roofs_config, *larger, "--json")
    assert said.code == 0, said.err
    found = said.json
    assert (found["bands"], found["classes"], found["chip_px"]) == (2, 2, 128)
    assert found["gsd_m"] == pytest.approx(0.5, rel=1e-3)  # on the ground, not in the projection
    assert [one["stride_px"] for one in found["levels"]] == [8, 16, 32, 64]
    assert [one["cells"] for one in found["levels"]] == [16, 8, 4, 2]
    assert {one["channels"] for one in found["levels"]} == {16}
    costs = found["costs"]
    parts = [costs[part]["flops_per_px"] for part in ("encoder", "pyramid", "merge", "head")]
    assert sum(parts) == pytest.approx(costs["all"]["flops_per_px"])

    text = run("models", "show", roofs_config, *larger).out.splitlines()
    assert text[0] == "roofs.yaml: test_resnet, fpn; 2 bands to 2 classes, chips of 128 px of 0.5 m"
    assert text[3].split() == ["0", "8", "px", "4", "m", "16", "16", "x", "16", "below", "64", "m"]


def test_objects_and_fields_stand_beside_the_levels_and_in_the_picture(
    roofs_config: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("geohier.models.level_fields.LARGEST_PX", 128)
    plain, full = Path("plain.png"), Path("new/full.png")
    assert run("models", "show", roofs_config, "--out", plain).code == 0
    said = run(
        *("models", "show", roofs_config, "--objects", "--receptive-field", "--out", full, "--json")
    )
    assert said.code == 0, said.err
    low, middle, _ = said.json["objects_m"]["roof"]
    assert 16 < low <= middle  # squares of 32 px of 0.5 m: discs of as much ground are wider
    fields = [one["field_px"] for one in said.json["levels"]]
    assert all(
        field > one["stride_px"] for field, one in zip(fields, said.json["levels"], strict=True)
    )
    with Image.open(plain) as before, Image.open(full) as after:
        assert after.height > before.height


def test_a_model_directory_is_shown_by_its_card(model: Path, run: Run) -> None:
    said = run("models", "show", model, "--json")
    assert said.code == 0, said.err
    assert (said.json["bands"], said.json["classes"], said.json["gsd_m"]) == (3, 3, 10)
    assert said.json["name"] == model.name
    refused = run("models", "show", model, "--set", "chips.size_px=64")
    assert (refused.code, len(refused.err.splitlines())) == (2, 1)


def test_a_config_whose_scenes_are_not_here_is_shown_all_the_same(
    roofs_config: Path, run: Run
) -> None:
    said = run("models", "show", roofs_config, "--set", "data.root=none")
    assert said.code == 0, said.err
    assert said.err == "note: the scenes are not here: 3 bands are taken\n"
    assert "3 bands to 2 classes" in said.out
    refused = run("models", "show", roofs_config, "--set", "data.root=none", "--objects")
    assert refused.code == 3


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--encoders", "zzz"], 2, "no encoder has such a name"),
        (["--json", "show", "CONFIG"], 2, "not before show"),
        (["show", "none.yaml"], 2, "none.yaml: cannot be read"),
        (["show", "CONFIG", "--out", "x.jpg"], 2, "ends in .png"),
        (["show", "CONFIG", "--set", "model.encoder=resnet18x"], 2, "did you mean resnet18"),
        (["show", "CONFIG", "--set", "model.decodr=fpn"], 2, "did you mean decoder?"),
        (["show", "."], 2, "is no model directory: give one, or a YAML config"),
    ],
)
def test_mistakes_end_in_one_line(
    roofs_config: Path, run: Run, words: list[str], code: int, says: str
) -> None:
    typed = [str(roofs_config) if word == "CONFIG" else word for word in words]
    refused = run("models", *typed)
    assert refused.code == code, refused.err
    assert says in refused.err
    assert len(refused.err.splitlines()) == 1
