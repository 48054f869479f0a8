"""geohier inspect, as it is typed, on rasters and models."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
import typer
from affine import Affine
from rasterio.enums import ColorInterp
from typer.testing import CliRunner

from geohier.cli.inspect import inspect
from geohier.config.schema import TrainConfig
from geohier.errors import ModelError
from geohier.geo.bands import Band, BandSet
from geohier.models.card import ClassLabel, ModelCard
from geohier.models.directory import load_model, save_model
from geohier.models.segmentation import build_segmenter
from geohier.raster.durable import sha256_of

Write = Callable[..., Path]

app = typer.Typer(pretty_exceptions_enable=False)
app.command()(inspect)


def run(*words: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, [str(word) for word in words])
    return result.exit_code, result.stdout, result.stderr


def described(path: Path, *options: str) -> dict[str, object]:
    code, out, _ = run(path, "--json", *options)
    assert code == 0
    found: dict[str, object] = json.loads(out)
    return found


def test_a_raster_is_described(write_scene: Write) -> None:
    values = np.arange(100, dtype="float32").reshape(1, 10, 10).repeat(2, axis=0)
    values[1, :5] = -1
    path = write_scene(values, descriptions=("red", "nir"), nodata=-1)
    found = described(path)
    assert (found["height"], found["width"], found["crs"]) == (10, 10, "EPSG:32631")
    assert found["gsd_m"] == pytest.approx(10, rel=2e-3)
    red, nir = found["bands"]  # type: ignore[misc]
    assert (red["declared"]["name"], red["valid_share"], nir["valid_share"]) == ("red", 1.0, 0.5)
    assert red["percentiles"] == pytest.approx(np.percentile(np.arange(100), [2, 50, 98]))
    assert (nir["lowest"], nir["highest"]) == (50, 99)
    assert run(path)[1].splitlines()[0] == "scene: 10 x 10 px, 2 bands"


def test_another_nodata_value_may_be_said(write_scene: Write) -> None:
    path = write_scene(np.arange(4, dtype="float32").reshape(1, 2, 2))
    assert described(path)["bands"][0]["valid_share"] == 1.0  # type: ignore[index]
    assert described(path, "--nodata", "3")["bands"][0]["valid_share"] == 0.75  # type: ignore[index]


@pytest.mark.parametrize(
    ("fourth", "decision"),
    [("infrared", "not used as a mask"), ("opacity", "band 4 is used as alpha")],
)
def test_what_was_decided_about_an_alpha_band_is_said(
    write_scene: Write, fourth: str, decision: str
) -> None:
    values = np.random.default_rng(0).integers(20, 200, size=(4, 32, 32), dtype="uint8")
    if fourth == "opacity":
        values[3] = np.where(np.arange(32) < 8, 0, 255)
    path = write_scene(values)
    with rasterio.open(path, "r+") as file:
        file.colorinterp = (
            ColorInterp.red,
            ColorInterp.green,
            ColorInterp.blue,
            ColorInterp.alpha,
        )
    code, out, err = run(path)
    assert code == 0
    assert "tagged alpha" in out
    assert decision in err
    shares = [band["valid_share"] for band in described(path)["bands"]]  # type: ignore[attr-defined]
    assert shares == ([1, 1, 1, 1] if fourth == "infrared" else [0.75, 0.75, 0.75, 1])


@pytest.mark.parametrize(
    ("values", "profile", "note"),
    [
        (np.ones((1, 1, 1), "uint8"), {}, ""),
        (np.full((1, 5, 5), np.nan, "float32"), {"nodata": np.nan}, ""),
        (np.zeros((1, 40, 40), "uint8"), {}, "if 0 means no data, pass --nodata 0"),
        (np.ones((1, 3, 3), "uint8"), {"crs": None}, "does not say where it lies"),
        (
            np.ones((1, 3, 3), "int16"),
            {"transform": Affine(10, 0, 5e5, 0, 10, 5e6)},
            "southernmost",
        ),
        (
            np.ones((1, 3, 3), "uint8"),
            {"transform": Affine.translation(5e5, 5e6) @ Affine.rotation(9)},
            "rotated",
        ),
        (np.ones((3, 30, 40), "uint16"), {"interleave": "band", "blockysize": 1}, ""),
        (
            np.ones((1, 3, 3), "uint8"),
            {"transform": Affine(1e-3, 0, 179.9, 0, -1e-3, 60), "crs": "EPSG:4326"},
            "",
        ),
    ],
)
def test_odd_rasters_are_described_too(
    write_scene: Write, values: np.ndarray, profile: dict[str, object], note: str
) -> None:
    path = write_scene(values, **profile)
    code, out, err = run(path)
    assert (code, note in err) == (0, True)
    assert out.startswith("scene: ")
    assert 0 < described(path)["sampled_px"] <= values[0].size  # type: ignore[operator]


def test_places_that_cannot_be_decoded_are_counted(write_scene: Write) -> None:
    values = np.random.default_rng(0).integers(0, 255, size=(1, 512, 512), dtype="uint8")
    path = write_scene(values, tiled=True, blockxsize=256, blockysize=256, compress="deflate")
    with rasterio.open(path) as file:
        block = int(file.get_tag_item("BLOCK_OFFSET_1_1", "TIFF", bidx=1))
    damaged = bytearray(path.read_bytes())
    damaged[block : block + 1000] = bytes(1000)
    path.write_bytes(damaged)
    code, _, err = run(path)
    assert code == 0
    assert "1 of the places that were sampled cannot be decoded" in err


@pytest.mark.parametrize("valid", [0, 1])
def test_a_raster_without_a_valid_pixel_is_noted(write_scene: Write, valid: int) -> None:
    values = np.full((2, 20, 30), 7, "uint8")
    values[:, 3, :valid] = 8
    _, _, err = run(write_scene(values, nodata=7))
    assert ("note: no pixel of the sample is valid" in err) == (not valid)


@pytest.mark.parametrize("content", [b"", b"some text", b"II*\0"])
def test_what_is_no_raster_ends_in_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.tif").write_bytes(content)
    for path in (tmp_path / "bad.tif", tmp_path / "none.tif", tmp_path):
        code, out, err = run(path)
        assert (code, out, len(err.splitlines())) == (3, "", 1)


def test_inspecting_a_raster_does_not_import_torch(write_scene: Write) -> None:
    path = write_scene(np.ones((1, 4, 4), "uint8"))
    code = (
        "import sys; from geohier.studies.inspect_scene import describe_scene; "
        f"describe_scene({str(path)!r}); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.fixture
def model(tmp_path: Path) -> Path:
    config = TrainConfig.model_validate(
        {
            "data": {"classes": {0: "land", 1: "water"}},
            "model": {
                "encoder": "test_resnet",
                "pyramid_channels": 16,
                "segmentation_channels": 32,
            },
        }
    )
    card = ModelCard(
        bands=BandSet(
            (
                Band(name="red", dtype="uint8", mean=100.5, std=20),
                Band(name="ratio", dtype="float32", mean=1, std=2, formula="nir / (red + 1)"),
            )
        ),
        classes=(
            ClassLabel(name="land", color="#000000"),
            ClassLabel(name="water", color="#0000ff"),
        ),
        stride=32,
        strides=(4, 8, 16, 32),
        gsd_m=(0.5, 0.5),
        tile_size_px=512,
        margins_px={95: 60, 90: 40},
        normalise="scene",
        trained_on={"scenes": ["north", "south"]},
        scores={"val": {"iou": 0.71}},
        versions={"torch": "2.15"},
    )
    torch.manual_seed(0)
    return save_model(tmp_path / "model", build_segmenter(config.model, 2, 2), card, config)


def test_a_model_is_described_with_the_objects_that_its_levels_see(model: Path) -> None:
    code, out, err = run(model)
    assert (code, err) == (0, "")
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert "files whole (SHA-256)" in lines
    assert "predict takes it" in lines
    assert "reads red, nir" in lines
    assert "red uint8 100.5 20 - - 1 0 -" in lines
    assert "ratio float32 1 2 - - 1 0 - = nir / (red + 1)" in lines
    assert "0 4 px 2 m below 32 m" in lines
    assert "1 8 px 4 m 32-64 m" in lines
    assert "3 32 px 16 m above 128 m" in lines
    assert "normalised by mean and deviation of the scene that is read" in lines
    assert "looks around 90 % within 40 px, 95 % within 60 px" in lines
    assert 'val: {"iou": 0.71}' in lines
    assert json.loads(run(model, "--json")[1])["levels"][3]["object_m"] == [128.0, None]


def test_a_model_with_a_flipped_byte_is_found_damaged(model: Path) -> None:
    weights = bytearray((model / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (model / "model.safetensors").write_bytes(weights)
    code, out, err = run(model)
    assert code == 4
    assert "damaged: model.safetensors" in out
    assert "model.safetensors damaged, changed or missing" in err


@pytest.mark.parametrize("card", [b"{", b"[]", b'{"properties": {}}'])
def test_a_model_whose_card_makes_no_sense_is_refused(model: Path, card: bytes) -> None:
    (model / "card.json").write_bytes(card)
    code, out, err = run(model)
    assert (code, out, len(err.splitlines())) == (4, "", 1)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (("encoder: test_resnet", "encoder: resnet999"), "has an encoder named 'resnet999'"),
        (("pyramid_channels: 16", "pyramid_channels: 32"), "it belongs to another config"),
        (("pyramid_channels: 16", "pyramid_channels: few"), "give a whole number"),
    ],
)
def test_a_model_that_predict_would_refuse_is_said_to_be_so(
    spoil: tuple[str, str], says: str, model: Path
) -> None:
    """Its files are whole: whoever made it wrote them so."""
    config = model / "config.yaml"
    text = config.read_text()
    assert spoil[0] in text
    before = sha256_of(config)
    config.write_text(text.replace(*spoil))
    sums = model / "SHA256SUMS"
    sums.write_text(sums.read_text().replace(before, sha256_of(config)))

    code, out, err = run(model)
    assert (code, len(err.splitlines())) == (4, 1)
    assert "predict      refuses it" in out.splitlines()
    assert says in err
    assert says in json.loads(run(model, "--json")[1])["refused"]
    with pytest.raises(ModelError) as refused:
        load_model(model)
    assert err == f"geohier: {refused.value}\n"


def test_options_for_rasters_are_refused_for_a_model(model: Path) -> None:
    said = f"geohier: {model} is a model: --nodata is for rasters\n"
    assert run(model, "--nodata", 3) == (2, "", said)
