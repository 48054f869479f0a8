"""geohier predict: mistakes in what is typed, and what cannot be used."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
import typer
from colour_scenes import SHAPE, values
from small_models import Echo

from geohier.cli.main import app

Write = Callable[..., Path]


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("predict", "missing argument 'SCENE'; see geohier predict --help"),
        ("predict a.tif", "missing option '--model' / '-m'"),
        ("predict a.tif -m m", "missing option '--out' / '-o'"),
        ("predict a.tif --treshold a=1", "(Possible options: --threshold)"),
        ("predict scene.tif -m m -o o --blend soft", "not one of 'taper', 'crop'"),
        ("predict scene.tif -m m -o o --size big", "invalid value for '--size'"),
        ("predict scene.tif -m m -o o --max-pixels 0", "invalid value for '--max-pixels'"),
        ("predict scene.tif -m m -o o --co TILED", "not of the form KEY=VALUE"),
        ("predict scene.tif -m m -o o --co BLOKSIZE=128", "did you mean BLOCKSIZE?"),
        ("predict scene.tif -m m -o o --co TILED=YES", "choose COMPRESS, LEVEL, PREDICTOR"),
        (
            "predict scene.tif -m m -o o --co compress=lzw --co COMPRESS=ZSTD",
            "--co COMPRESS is given twice: give it once",
        ),
        (
            "predict scene.tif -m m -o o --threshold roof=0.1 --threshold roof=0.2",
            "--threshold roof is given twice: give it once",
        ),
        (
            "predict scene.tif -m m -o o --out p",
            "--out is given 2 times: give it once; see geohier predict --help",
        ),
        ("evaluate a.tif --labels a --labels b", "--labels is given 2 times: give it once"),
        (
            "evaluate a.tif --labels a --attribute b --areas c",
            "--areas says where --outside holds, which is missing",
        ),
        ("evaluate a.tif --labels a --images b", "--images is for --picture FOLDER, which is"),
        ("predict scene.tif -m m -o o --threshold roof", "not of the form KEY=VALUE"),
        ("predict scene.tif -m m -o o --threshold roof=x", "'x' is not a number"),
        ("predict scene.tif -m m -o o --threshold roof=2", "is not from 0 to 1"),
        ("predict scene.tif -m m -o o --batch-size 0", "a batch needs 1 tile or more"),
        ("predict scene.tif -m m -o o --batch-size few", "nor auto"),
        ("predict scene.tif -m m -o o --memory-gb nan", "memory must be some GiB, found nan"),
        ("predict scene.tif -m m -o o --memory-gb inf", "memory must be some GiB, found inf"),
        ("predict scene.tif -m m -o o --memory-gb 1e-9", "or a larger --memory-gb"),
        ("predict scene.tif -m m -o o --bands 1,,2", "a band without a name"),
        ("predict scene.tif -m m -o o --nodata 300", "holds uint8, which cannot be nodata 300"),
        ("predict scene.tif -m m -o o --device tpu", "device 'tpu' is not known"),
        ("predict scene.tif -m m -o o --size 0", "tiles of 0 px are empty"),
        ("predict scene.tif -m m -o o --overlap -4", "overlap of -4 px"),
        ("predict scene.tif m -m m -o scene.tif", "names a file, but there are 2 scenes"),
        ("predict scene.tif m -m m -o new.tif", "names a file, but there are 2 scenes"),
        ("predict scene.tif -m m -o map.png", "results are GeoTIFFs: call it map.tif"),
        ("predict scene.tif http://a/b.tif --mosaic -m m -o o", "made of files on this machine"),
        ("plan scene.tif -m m --size 0", "tiles of 0 px are empty"),
        ("mapp", "no such command 'mapp'; see geohier --help"),
    ],
)
def test_mistakes_are_named_in_one_line(
    typed: str,
    says: str,
    run: Callable,
    echo: Echo,
    scene: Path,
    write_scene: Write,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "m").mkdir()
    write_scene(values(), "m/other.tif")
    monkeypatch.chdir(tmp_path)
    result = run(*typed.split())
    assert (result.code, result.out) == (2, "")
    assert says in result.err
    assert result.err.startswith("geohier: ")
    assert len(result.err.splitlines()) == 1
    assert {path.name for path in tmp_path.iterdir()} == {"scene.tif", "m"}


def test_flags_and_lists_may_be_repeated(run: Callable, echo: Echo, scene: Path) -> None:
    words = ("plan", scene, scene, "-m", "echo", "--device", "cpu")
    assert run(*words, "--confidence", "--confidence").code == 0
    assert run(*words, "--threshold", "land=0.5", "--threshold", "roof=0.5").code == 0


def test_a_shell_that_completes_half_a_line_is_not_told_of_mistakes() -> None:
    command = typer.main.get_command(app).get_command(None, "evaluate")
    words = ["a.tif", "--labels", "a", "--labels", "b"]
    command.make_context("evaluate", words, resilient_parsing=True)


@pytest.mark.parametrize("spoil", ["missing", "file", "empty"])
def test_a_model_that_cannot_be_used_exits_with_4(
    spoil: str, run: Callable, scene: Path, tmp_path: Path
) -> None:
    model = tmp_path / "model"
    if spoil == "file":
        model.touch()
    if spoil == "empty":
        model.mkdir()
    for command in ("predict", "plan"):
        result = run(command, scene, "--model", model, "--out", tmp_path / "map.tif")
        assert (result.code, result.out, len(result.err.splitlines())) == (4, "", 1)
    assert not (tmp_path / "map.tif").exists()


@pytest.mark.parametrize("out", ["", "map.tif", "deeper/map.tif"])
@pytest.mark.parametrize("command", ["predict", "plan", "evaluate"])
def test_a_model_directory_takes_no_maps(
    command: str, out: str, run: Callable, model: Path, scene: Path
) -> None:
    before = {path.name for path in model.rglob("*")}
    words = (scene, "--model", model, "--out", model / out)
    if command == "evaluate":
        masks = write_labelled(scene)
        words = ("--model", model, "--data", masks, "--out", (model / out).with_suffix(""))
    result = run(command, *words)
    assert (result.code, result.out, len(result.err.splitlines())) == (2, "", 1)
    assert "would lie in a model directory" in result.err
    assert {path.name for path in model.rglob("*")} == before


def write_labelled(scene: Path) -> Path:
    """Write labels of a scene and a config of both; return the config."""
    with rasterio.open(scene) as file:
        profile = file.profile | {"count": 1}
    with rasterio.open(scene.with_name("mask.tif"), "w", **profile) as mask:
        mask.write((np.arange(SHAPE[0] * SHAPE[1]).reshape(1, *SHAPE) % 3).astype("uint8"))
    config = scene.with_name("config.yaml")
    pair = "{image: scene.tif, mask: mask.tif}"
    config.write_text(
        f"data: {{train: [{pair}], val: [{pair}], classes: {{land: 0, water: 1, roof: 2}}}}\n"
    )
    return config


def test_a_scene_that_cannot_be_opened_is_told_before_torch_is_loaded(tmp_path: Path) -> None:
    program = (
        "import sys; from geohier.cli.main import app\n"
        "try: app(sys.argv[1:])\n"
        "except SystemExit as end: sys.exit(end.code + 50 * ('torch' in sys.modules))"
    )
    words = ("predict", tmp_path / "none.tif", "-m", tmp_path / "none", "-o", tmp_path / "map.tif")
    ended = subprocess.run(
        [sys.executable, "-c", program, *words], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stderr) == (
        3,
        f"geohier: {tmp_path / 'none.tif'}: no such file\n",
    )


def test_running_out_of_memory_exits_with_5(
    predict: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_much(*given: object) -> None:
        raise MemoryError("Unable to allocate 931. GiB")

    monkeypatch.setattr("geohier.inference.pipeline.segment", too_much)
    assert predict(code=5).err == "geohier: out of memory (Unable to allocate 931. GiB)\n"
