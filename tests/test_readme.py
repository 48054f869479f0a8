"""The README: its commands and its code run as they stand, and what it points to is there."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import rasterio
from click.testing import Result
from roof_scenes import roofs, write_pair
from typer.testing import CliRunner

from geohier import errors
from geohier.cli.errors import INTERRUPTED, TERMINATED
from geohier.cli.main import app
from geohier.data.bundled import bundled_demo
from geohier.studies.demo import bring_along

REPOSITORY = Path(__file__).resolve().parent.parent
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")

SHORTER = {
    "train": "--quiet --set training.max_steps=2 --set training.block_px=96 "
    "--set training.buffer_px=8 --set model.encoder=test_resnet --set chips.size_px=64 "
    "--set training.workers=0"
}
"""What the tests add to a command, to have it done in seconds."""
SHORTER["pretrain"] = SHORTER["train"]


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)


def commands(program: str) -> list[list[str]]:
    lines = [line for block in blocks("bash") for line in block.splitlines()]
    return [shlex.split(line)[1:] for line in lines if line.startswith(f"{program} ")]


def run(words: list[str]) -> Result:
    return CliRunner().invoke(app, [*words, *SHORTER.get(words[0], "").split()])


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with scenes/, new.tif, points on it and the files of a demo, to type commands in."""
    folder = tmp_path_factory.mktemp("readme")
    for seed in range(5):
        image, mask = roofs(seed)
        write_pair(folder / "scenes", f"s{seed}", image, mask)
    write_pair(folder, "new", *roofs(5))
    (folder / "images" / "new.tif").rename(folder / "new.tif")
    write_points(folder / "new.tif", folder / "masks" / "new.tif", folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder


def write_points(image: Path, mask: Path, folder: Path) -> None:
    """Write points.geojson, of the middles of a mask's squares, and the first of them alone."""
    with rasterio.open(image) as file, rasterio.open(mask) as labels:
        rows, columns = np.mgrid[16:192:32, 16:192:32].reshape(2, -1)
        kinds = np.array(["ground", "roof"])[labels.read(1)[rows, columns]]
        xy = file.transform @ np.stack([columns + 0.5, rows + 0.5])
        points = geopandas.GeoDataFrame(
            {"class": kinds}, geometry=geopandas.points_from_xy(*xy), crs=file.crs
        )
    points.to_crs(4326).to_file(folder / "points.geojson")
    points.to_crs(4326)[:1].to_file(folder / "wanted.geojson")


def test_every_line_of_the_blocks_is_a_command_that_is_tried_here() -> None:
    lines = [line for block in blocks("bash") for line in block.splitlines()]
    assert len(lines) == len(commands("geohier")) + len(commands("make"))


def test_the_targets_of_make_are_there() -> None:
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^(\w+):", makefile, flags=re.MULTILINE)
    assert {words[0] for words in commands("make")} == {"demo", "test"}
    assert {words[0] for words in commands("make")} <= set(targets)


def test_the_commands_lead_from_scenes_to_a_map_and_its_scores(place: Path) -> None:
    found = {}
    for words in commands("geohier"):
        done = run(words)
        assert done.exit_code == 0, f"{' '.join(words)}: {done.output}"
        found[words[0]] = done.stdout
    assert list(found)[:4] == ["init", "train", "predict", "evaluate"]
    assert (place / "map.tif").is_file()
    assert "accuracy" in found["evaluate"]
    assert "of n = 36 places" in found["probe"]
    assert (place / "found.geojson").is_file()


def test_the_code_runs(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where the demo has been; a good part of its scene is green, and not all of it."""
    (code,) = blocks("python")
    bring_along(bundled_demo(), place / "geohier-demo")
    names: dict[str, Any] = {}
    exec(compile(code, "README.md", "exec"), names)
    assert capsys.readouterr().out.startswith("(2048, 2048) EPSG:3857 0.")
    assert 0.05 < np.mean(names["result"].labels.values == 1) < 0.6


def test_the_exit_codes_are_those_of_the_errors() -> None:
    listed = {
        int(code)
        for row in re.findall(r"^\| ([\d, ]+) \|", README, re.M)
        for code in row.split(",")
    }
    raised = {value.exit_code for value in vars(errors).values() if hasattr(value, "exit_code")}
    assert listed == {0, errors.FINISHED_WITH_FAILURES, INTERRUPTED, TERMINATED} | raised


def test_what_it_links_to_is_there() -> None:
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if "://" not in link]
    assert len(links) > 5
    assert [link for link in links if not (REPOSITORY / link).exists()] == []


def test_its_picture_is_small() -> None:
    assert (REPOSITORY / "docs" / "images" / "demo.png").stat().st_size < 600 * 1024
