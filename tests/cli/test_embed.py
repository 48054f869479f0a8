"""geohier embed, as it is typed, with a model as training writes it."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from colour_scenes import values
from small_models import COLOURS

from geohier.cli.embed import parse_levels
from geohier.errors import ConfigError
from geohier.raster.store import PartStore

Write = Callable[..., Path]


@pytest.fixture
def scene(write_scene: Write) -> Path:
    return write_scene(values(), descriptions=COLOURS)


@pytest.fixture
def embed(run: Callable, model: Path, scene: Path, tmp_path: Path) -> Callable:
    """Return a function that embeds scene.tif, or others, to f.tif with more options."""

    def command(*words: object, of: object = None, code: int = 0) -> object:
        scenes = of if isinstance(of, list) else [of or scene]
        usual = {"--out": tmp_path / "f.tif", "--levels": "0,2", "--device": "cpu"}
        more = (word for pair in usual.items() if pair[0] not in words for word in pair)
        result = run("embed", *scenes, "--model", model, *more, *words)
        assert result.code == code, result.err
        return result

    return command


def test_one_scene_becomes_one_file_and_one_line(embed: Callable, tmp_path: Path) -> None:
    result = embed("--quiet")
    pattern = (
        re.escape(f"{tmp_path / 'f.tif'}: ")
        + r"32 features of levels 0, 2, 10 x 15 px from 1 tile in \d+\.\d s \([\d.e-]+ Mpx/s\)\n"
    )
    assert re.fullmatch(pattern, result.out)
    assert result.err == ""
    assert {path.name for path in tmp_path.iterdir()} == {"scene.tif", "f.tif", "f.tif.run.json"}
    with rasterio.open(tmp_path / "f.tif") as file:
        assert (file.shape, file.count, file.nodata) == ((10, 15), 32, 255)
        assert file.descriptions[16] == "level2_c000"
        assert len(set(file.scales)) > 16
        kept = json.loads((tmp_path / "f.tif.run.json").read_text())["settings"]["encodings"]
        assert [tuple(one) for one in kept] == list(zip(file.scales, file.offsets, strict=True))
    assert embed("--quiet").out.endswith(": 32 features of levels 0, 2, 10 x 15 px, up to date\n")


def test_json_holds_what_happened(embed: Callable, tmp_path: Path) -> None:
    found = embed("--json", "--levels", "3").json
    assert found.pop("seconds") > 0
    assert found.pop("redundancy") > 1
    assert found == {
        "scene": "scene",
        "status": "written",
        "outputs": {"features": str(tmp_path / "f.tif")},
        "height": 2,
        "width": 2,
        "tiles": 1,
        "failures": [],
        "notes": [],
        "bands": 16,
        "levels": [{"level": 3, "stride": 32, "channels": 16}],
    }


def test_a_dry_run_says_what_would_be_written_and_writes_nothing(
    embed: Callable, tmp_path: Path
) -> None:
    assert "writes      features, 32 bands of 10 x 15 px\n" in embed("--dry-run").out
    found = embed("--dry-run", "--json").json
    assert [found[f"result_{name}"] for name in ("bands", "height", "width")] == [32, 10, 15]
    assert {path.name for path in tmp_path.iterdir()} == {"scene.tif"}


def test_several_scenes_go_to_a_folder_and_a_bad_one_stops_no_other(
    embed: Callable, write_scene: Write, tmp_path: Path
) -> None:
    good = write_scene(values(1), "good.tif", descriptions=COLOURS)
    bad = write_scene(values(bands=2), "bad.tif", descriptions=COLOURS[:2])
    result = embed("--out", tmp_path / "out", of=[good, bad], code=6)
    assert result.err.startswith("geohier: bad: the raster's bands are red green")
    assert (tmp_path / "out" / "good.tif").exists()


def test_an_interrupted_run_says_how_to_go_on_and_does(
    embed: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    embed("--out", tmp_path / "whole.tif")
    with monkeypatch.context() as patch:
        patch.setattr(PartStore, "finish", interrupted)
        assert embed(code=130).err.endswith("interrupted; run the same command again to go on\n")
    assert (
        "belongs to another run (features.1.level was 0, now 1)"
        in embed("--levels", "1", code=2).err
    )
    embed()
    assert (tmp_path / "f.tif").read_bytes() == (tmp_path / "whole.tif").read_bytes()


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (
            ("--levels", "0,4"),
            2,
            "no level 4 in the model, which has 0 (stride 4 px, GSD 32 to 48 m)",
        ),
        (("--levels", "fine"), 2, "'fine' is no level: give numbers, as in 0,2"),
        (("--levels", "1,1"), 2, "each once"),
        (("--levels", ""), 2, "'' is no level"),
        (("--probabilities",), 2, "no such option: --probabilities"),
        (("--size", 40), 2, "no multiple of the model's stride of 32 px"),
        (("--co", "COMPRESS=JPEG"), 2, "COMPRESS=JPEG is not known"),
        (("--out", "f.png"), 2, "results are GeoTIFFs"),
        (("--bands", "1,2"), 4, "--bands names 2 bands"),
    ],
)
def test_a_mistake_is_told_in_one_line(
    embed: Callable, tmp_path: Path, words: tuple[object, ...], code: int, says: str
) -> None:
    result = embed(*words, code=code)
    assert says in result.err
    assert len(result.err.splitlines()) == 1
    assert {path.name for path in tmp_path.iterdir()} == {"scene.tif"}


def test_blocks_that_cannot_be_read_become_nodata_and_are_told(
    embed: Callable, write_scene: Write, tmp_path: Path
) -> None:
    tiled = {"tiled": True, "blockxsize": 32, "blockysize": 32, "compress": "deflate"}
    noise = np.random.default_rng(0).integers(1, 250, (3, 64, 64), "uint8")
    scene = write_scene(noise, "torn.tif", descriptions=COLOURS, **tiled)
    with rasterio.open(scene) as raster:
        at = int(raster.get_tag_item("BLOCK_OFFSET_1_1", "TIFF", bidx=1)) + 2
    data = bytearray(scene.read_bytes())
    data[at : at + 38] = b"\xff" * 38
    scene.write_bytes(data)
    assert "could not be read and became nodata, see f.tif.run.json" in embed(of=scene, code=6).out
    with rasterio.open(tmp_path / "f.tif") as file:
        assert (file.read(1)[8:, 8:] == 255).all()
        assert (file.read(1)[:8, :8] != 255).all()
    assert embed("--strict", "--out", tmp_path / "s.tif", of=scene, code=3).out == ""


def test_levels_are_numbers_with_commas() -> None:
    assert parse_levels("3, 0") == (3, 0)
    with pytest.raises(ConfigError, match="--levels 0,-1: '-1' is no level"):
        parse_levels("0,-1")
